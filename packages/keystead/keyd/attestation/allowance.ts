/** Tokens of one bucket, and when they were counted last, milliseconds since 1970. */
interface Bucket {
  tokens: number;
  at: number;
}

/** How much may be asked for: so many at once, and from then on so many in each second. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * Lets each name have so many turns, and all together so many, as token buckets do. A turn that is refused costs
 * nothing. It holds as many names as the caller knows to be names.
 */
export class Allowance {
  readonly #each: Rate;
  readonly #all: Rate;
  readonly #buckets = new Map<string, Bucket>();
  readonly #shared: Bucket;

  constructor(each: Rate, all: Rate) {
    this.#each = each;
    this.#all = all;
    this.#shared = { tokens: all.burst, at: 0 };
  }

  /** Whether `name` may have a turn now, which it then has had. @param now milliseconds since 1970. */
  take(name: string, now: number): boolean {
    const own = this.#buckets.get(name) ?? { tokens: this.#each.burst, at: now };
    this.#buckets.set(name, own);
    fill(own, this.#each, now);
    fill(this.#shared, this.#all, now);
    if (own.tokens < 1 || this.#shared.tokens < 1) return false;
    own.tokens -= 1;
    this.#shared.tokens -= 1;
    return true;
  }
}

function fill(bucket: Bucket, { burst, perSecond }: Rate, now: number): void {
  const seconds = Math.max(0, now - bucket.at) / 1000;
  bucket.tokens = Math.min(burst, bucket.tokens + seconds * perSecond);
  bucket.at = Math.max(bucket.at, now);
}
