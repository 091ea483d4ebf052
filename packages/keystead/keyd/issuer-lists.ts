import { KeysteadError } from '@keystead/core/errors';
import { crlListName, type Shard } from '@keystead/core/lifecycle';
import { RevokedSet } from './revoked-set.ts';
import { Turnstile } from './turnstile.ts';

/** How far the number of a CRL may be above the one before: far enough for any honest loss of count. */
const MOST_NUMBERS_SKIPPED = 1_000_000;
/** What a front end that was taken over may make up: more than is lost in any restore, and not enough to fill the memory. */
const MOST_UNISSUED = 1_000_000;

/** A full CRL that keyd has signed. */
interface FullCrl {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

/** The base that a delta CRL goes with. */
export type DeltaBase = Pick<FullCrl, 'number' | 'thisUpdate'>;

/**
 * The CRLs of one issuer: how far their numbers are, what they list for good, which full ones are still in use, and
 * into how many partitions it has issued. All lists of an issuer share one sequence of numbers, so that each list's own
 * goes up whatever becomes of the others. REQ-KEY-REV-01
 */
export class IssuerLists {
  readonly revoked = new RevokedSet();
  /** One list at a time is changed and written. */
  readonly turnstile = new Turnstile();
  readonly #name: string;
  #number = 0;
  #unissued = 0;
  /** Full CRLs that have not ended, by the name of the list, the oldest first. */
  readonly #fulls = new Map<string, FullCrl[]>();
  /** When the last certificate ends that was issued into so many partitions, milliseconds since 1970. */
  readonly #shardings = new Map<number, number>();

  /** @param name of the issuer. */
  constructor(name: string) {
    this.#name = name;
  }

  /** The last number that was given. */
  get number(): number {
    return this.#number;
  }

  /** After a restore, and at a start. Numbers never go back. */
  raiseNumber(number: number): void {
    this.#number = Math.max(this.#number, number);
  }

  /**
   * @throws KeysteadError `crl.number-used`; `crl.number-skips` for one so high that after it there would soon be none
   *   left, and so no CRL any more, also when the front end that asked for it is long mended.
   */
  requireNumber(number: number): void {
    const seen = `${number}, after ${this.#number}`;
    if (number <= this.#number) throw new KeysteadError('crl.number-used', { field: 'number', seen });
    if (number > this.#number + MOST_NUMBERS_SKIPPED)
      throw new KeysteadError('crl.number-skips', { field: 'number', seen });
  }

  /** Counts serial numbers that keyd did not issue. @throws KeysteadError `revocation.unissued-too-many`. */
  takeUnissued(count: number): void {
    if (count > 0 && this.#unissued + count > MOST_UNISSUED) {
      const seen = `${this.#unissued} and ${count} more`;
      throw new KeysteadError('revocation.unissued-too-many', { field: 'entries', seen });
    }
    this.sawUnissued(count);
  }

  /** Those of the journal, and with a negative count those that came into it in the end not. */
  sawUnissued(count: number): void {
    this.#unissued += count;
  }

  /** Takes note of a full CRL that is about to be signed. */
  sawFull(shard: Shard | undefined, full: FullCrl): void {
    const list = crlListName({ issuer: this.#name, shard });
    const inUse = (this.#fulls.get(list) ?? []).filter(({ nextUpdate }) => nextUpdate > full.thisUpdate);
    this.#fulls.set(list, [...inUse, full]);
  }

  /**
   * The oldest full CRL that somebody may still go by at `now` (milliseconds since 1970): a delta CRL to it serves
   * everybody who has a full CRL that did not end (RFC 5280 section 5.2.4). Undefined where there is none.
   */
  base(shard: Shard | undefined, now: number): DeltaBase | undefined {
    return this.#fulls.get(crlListName({ issuer: this.#name, shard }))?.find(({ nextUpdate }) => nextUpdate > now);
  }

  /** Takes note of a certificate that was issued into one of `of` partitions. */
  sawSharding(of: number, notAfter: number): void {
    this.#shardings.set(of, Math.max(this.#shardings.get(of) ?? 0, notAfter));
  }

  /**
   * Into how many partitions this issuer's list has to be cut: `current` by the policy, and every other number that
   * stands in a certificate which has not ended. 1, the full list alone, is not among them.
   */
  shardings(current: number, now: number): number[] {
    const living = [...this.#shardings].filter(([, end]) => end > now).map(([of]) => of);
    return [...new Set([current, ...living])].filter((of) => of > 1).sort((a, b) => a - b);
  }
}
