import crypto from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { HealthTest, type HealthTestOptions } from './health.ts';

/**
 * OpenSSL's DRBG has full entropy in each byte. 2^-40 is the rarest false alarm that SP 800-90B recommends: one
 * in about 2^40 bytes, so that a fleet's lifetime does not see one.
 */
const DRBG_HEALTH: HealthTestOptions = { bitsPerSample: 8, alphaBits: 40 };
/** SP 800-90B section 4.3 demands at least 1024 samples at start; eight windows of the proportion test. */
const START_SAMPLES = 4096;
/** No two of these may be the same at start: a generator that gives one block again passes both other tests. */
const START_BLOCK = 32;

/**
 * A random source behind its health tests (SP 800-90B section 4.4). The first draw runs the start-up test on
 * samples that are thrown away; afterwards each byte given out passes through the tests. After a failure the
 * source gives nothing for as long as the process lives: a source that failed once is not to be trusted for
 * having recovered. REQ-KEY-GEN-01.
 */
export class RandomSource {
  /** How many bytes the start-up test draws: who fetches them beforehand must have as many. */
  static readonly START_SAMPLES = START_SAMPLES;
  readonly #draw: (length: number) => Uint8Array;
  readonly #test: HealthTest;
  #started = false;
  #failure: string | undefined;

  /** @param draw gives exactly as many fresh bytes as it is asked for. */
  constructor(draw: (length: number) => Uint8Array, health: HealthTestOptions = DRBG_HEALTH) {
    this.#draw = draw;
    this.#test = new HealthTest(health);
  }

  /**
   * `length` random bytes in an array of their own.
   * @throws KeysteadError `rng.unhealthy`, and from then on always.
   */
  bytes(length: number): Uint8Array {
    this.check();
    return this.#tested(length);
  }

  /** Runs the start-up test if it has not run. @throws KeysteadError `rng.unhealthy`. */
  check(): void {
    if (!this.#started) this.#start();
    if (this.#failure !== undefined) throw this.#unhealthy();
  }

  #start(): void {
    const blocks = new Set<string>();
    for (let drawn = 0; drawn < START_SAMPLES; drawn += START_BLOCK) {
      const block = Buffer.from(this.#tested(START_BLOCK)).toString('latin1');
      if (blocks.has(block)) {
        this.#failure = 'repeated block';
        throw this.#unhealthy();
      }
      blocks.add(block);
    }
    this.#started = true;
  }

  #tested(length: number): Uint8Array {
    if (this.#failure !== undefined) throw this.#unhealthy();
    const bytes = this.#drawn(length);
    if (bytes.length !== length) this.#failure = 'short draw';
    else if (!this.#test.feed(bytes)) this.#failure = this.#test.failure ?? 'health test';
    if (this.#failure === undefined) return bytes;
    bytes.fill(0);
    throw this.#unhealthy();
  }

  #drawn(length: number): Uint8Array {
    try {
      return this.#draw(length);
    } catch (cause) {
      this.#failure = 'the source gave an error';
      throw new KeysteadError('rng.unhealthy', { field: 'random source', seen: this.#failure, cause });
    }
  }

  #unhealthy(): KeysteadError {
    return new KeysteadError('rng.unhealthy', { field: 'random source', seen: `failed: ${this.#failure}` });
  }
}

/** OpenSSL's DRBG (SP 800-90A CTR_DRBG, seeded by the operating system; by the FIPS provider where one is on). */
const drbg = new RandomSource((length) => {
  const bytes = crypto.randomBytes(length);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
});

/**
 * `length` bytes of OpenSSL's DRBG, health-tested at its first use and on every byte given out. The only random
 * source of the project. REQ-KEY-GEN-01.
 * @throws RangeError when `length` is not a whole number of 0 to 2^31-1.
 * @throws KeysteadError `rng.unhealthy` when the source failed a health test, now or ever before in this process.
 */
export function randomBytes(length: number): Uint8Array {
  if (!Number.isInteger(length) || length < 0 || length > 0x7fffffff) throw new RangeError(`random bytes: ${length}`);
  return drbg.bytes(length);
}

/**
 * To be called before OpenSSL draws for itself (key generation, the nonce of an ECDSA signature): tests a fresh
 * sample of the same generator. @throws KeysteadError `rng.unhealthy`.
 */
export function sampleRandomHealth(): void {
  drbg.bytes(START_BLOCK).fill(0);
}

/** The cheap form for the signing path: refuses after a failure, draws nothing. @throws KeysteadError `rng.unhealthy`. */
export function requireHealthyRandom(): void {
  drbg.check();
}
