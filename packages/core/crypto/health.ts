/** What the tests assume of a source. */
export interface HealthTestOptions {
  /** Min-entropy that a healthy source has in each sample of 8 bits: more than 0, at most 8 (SP 800-90B section 3). */
  readonly bitsPerSample: number;
  /** Probability of a false alarm is 2^-alpha per test; SP 800-90B section 4.3 recommends 20 to 40. */
  readonly alphaBits: number;
}

/** Samples in one window of the adaptive-proportion test for samples that are not binary (SP 800-90B section 4.4.2). */
const WINDOW = 512;

/** Cutoff of the repetition-count test: 1 + ceil(alpha / H) (SP 800-90B section 4.4.1). */
export function repetitionCutoff({ bitsPerSample, alphaBits }: HealthTestOptions): number {
  return 1 + Math.ceil(alphaBits / bitsPerSample);
}

/**
 * Cutoff of the adaptive-proportion test: 1 + CRITBINOM(512, 2^-H, 1 - 2^-alpha) (SP 800-90B section 4.4.2).
 * The tail is summed from its small end, because 1 - 2^-40 and a sum that starts at the large end lose the digits.
 */
export function proportionCutoff({ bitsPerSample, alphaBits }: HealthTestOptions): number {
  const p = 2 ** -bitsPerSample;
  const logTerm = (k: number): number => logChoose(WINDOW, k) + k * Math.log(p) + (WINDOW - k) * Math.log1p(-p);
  let tail = 0;
  for (let k = WINDOW; k > 0; k -= 1) {
    tail += Math.exp(logTerm(k));
    // P(X >= k) > alpha means that k is the smallest count with P(X <= k) >= 1 - alpha.
    if (tail > 2 ** -alphaBits) return Math.min(1 + k, WINDOW);
  }
  return 1;
}

function logChoose(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= k; i += 1) sum += Math.log((n - k + i) / i);
  return sum;
}

/**
 * The two continuous health tests of SP 800-90B section 4.4, over samples of one byte: the repetition count,
 * which notices a stuck source, and the adaptive proportion, which notices a biased one. Once failed, always
 * failed. It keeps two of the bytes that it saw and two counts, nothing else. REQ-KEY-GEN-01.
 */
export class HealthTest {
  readonly #repetitionCutoff: number;
  readonly #proportionCutoff: number;
  #failure: string | undefined;
  #last = -1;
  #run = 0;
  #reference = -1;
  #seen = 0;
  #matches = 0;

  constructor(options: HealthTestOptions) {
    this.#repetitionCutoff = repetitionCutoff(options);
    this.#proportionCutoff = proportionCutoff(options);
  }

  /** The name of the test that failed, or undefined while the source is healthy. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Feeds the next samples, in order. Returns whether the source is still healthy. */
  feed(samples: Uint8Array): boolean {
    for (const sample of samples) {
      if (this.#failure !== undefined) return false;
      this.#countRepetition(sample);
      this.#countProportion(sample);
    }
    return this.#failure === undefined;
  }

  #countRepetition(sample: number): void {
    this.#run = sample === this.#last ? this.#run + 1 : 1;
    this.#last = sample;
    if (this.#run >= this.#repetitionCutoff) this.#failure = 'repetition count';
  }

  #countProportion(sample: number): void {
    if (this.#seen === 0) {
      this.#reference = sample;
      this.#matches = 0;
    }
    if (sample === this.#reference) this.#matches += 1;
    this.#seen = (this.#seen + 1) % WINDOW;
    if (this.#matches >= this.#proportionCutoff) this.#failure = 'adaptive proportion';
  }
}
