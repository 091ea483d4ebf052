import type { Serial } from '@keystead/core/bytes';
import type { IssuerId, ListedIssuer } from '@keystead/core/lifecycle';
import { type Life, SerialSet } from './serial-set.ts';

/** The serial numbers that keyd's own issuers have given, each with the life of its certificate. */
export class IssuedSerials {
  readonly #issued = new Map<IssuerId, SerialSet>();

  /** Takes note of a certificate of this CA; without its life, it has begun and never ends. */
  saw(issuer: IssuerId, serial: Serial, life?: Life): void {
    const known = this.#issued.get(issuer) ?? new SerialSet();
    this.#issued.set(issuer, known);
    known.add(serial, life);
  }

  /** Whether keyd has issued a certificate with this serial number. */
  has(issuer: ListedIssuer, serial: Serial): boolean {
    return this.#issued.get(issuer as IssuerId)?.has(serial) ?? false;
  }

  /** The certificates of one of keyd's own issuers, see `SerialSet.living`. */
  living(
    issuer: ListedIssuer,
    ...span: Parameters<SerialSet['living']>
  ): Iterable<readonly [place: number, serial: Serial]> {
    return this.#issued.get(issuer as IssuerId)?.living(...span) ?? [];
  }

  /** Whether it has ended at `at`, seconds since 1970; undefined for one that no key of this keyd issued. */
  hasEnded(issuer: ListedIssuer, serial: Serial, at: number): boolean | undefined {
    const issued = this.#issued.get(issuer as IssuerId);
    return issued?.has(serial) === true ? !issued.endsAfter(serial, at) : undefined;
  }
}
