import type { Serial } from '@keystead/core/bytes';
import type { ListedIssuer } from '@keystead/core/lifecycle';
import type { RevokedEntry } from '@keystead/core/x509';
import type { ReleaseJournalEntry } from './revocation-entries.ts';

/** A hold with when it came onto a list, by keyd's clock, milliseconds since 1970. */
export type Held = RevokedEntry & { readonly listedAt: number };

/** A hold that was taken back. */
export interface ReleasedHold {
  /** Its own time, milliseconds since 1970: a hold of this time or before is the one that was released. */
  readonly heldSince: number;
  readonly releasedAt: number;
}

/**
 * Certificates on hold, made again from the journal at each start. Once on a list, a hold stays there until it becomes
 * a revocation or an order of operators releases it: what a front end leaves out changes nothing. REQ-KEY-REV-01
 */
export class Holds {
  readonly #held = new Map<ListedIssuer, Map<Serial, Held>>();
  readonly #released = new Map<ListedIssuer, Map<Serial, ReleasedHold>>();
  /** By the hash of the order. */
  readonly #orders = new Map<string, ReleaseJournalEntry>();
  #releases = 0;

  /** How many certificates came off a hold by an order. */
  get releases(): number {
    return this.#releases;
  }

  /** Takes an order of release into account whose entry is durable. */
  release(entry: ReleaseJournalEntry): void {
    this.#orders.set(entry.orderSha256, entry);
    this.#releases += entry.released.length;
    for (const [issuer, hex] of entry.released) {
      const serial = hex as Serial;
      const held = this.#of(issuer).get(serial);
      // It may have been revoked for good meanwhile.
      if (held === undefined) continue;
      this.#of(issuer).delete(serial);
      const released = { heldSince: held.revokedAt.getTime(), releasedAt: Date.parse(entry.time) };
      this.#releasedOf(issuer).set(serial, released);
    }
  }

  /** What came of an order that was carried out. */
  order(orderSha256: string): ReleaseJournalEntry | undefined {
    return this.#orders.get(orderSha256);
  }

  /**
   * Puts a certificate on hold. The first time of a hold stays; one that was released is not begun again by a front end
   * that has not yet recorded the release. @returns whether it is there for the first time.
   */
  take(issuer: ListedIssuer, entry: Held): boolean {
    const held = this.#of(issuer);
    const released = this.#releasedOf(issuer).get(entry.serial);
    if (held.has(entry.serial) || (released !== undefined && entry.revokedAt.getTime() <= released.heldSince))
      return false;
    held.set(entry.serial, entry);
    return true;
  }

  /** Ends a hold because the certificate is revoked for good. @returns the hold, for when that fails. */
  end(issuer: ListedIssuer, serial: Serial): Held | undefined {
    const held = this.#of(issuer).get(serial);
    this.#of(issuer).delete(serial);
    return held;
  }

  /** Forgets holds of certificates that have ended by themselves; see `RevokedSet.forget`. */
  forget(issuer: ListedIssuer, listedBy: number, hasEnded: (serial: Serial, listedAt: number) => boolean): void {
    const held = this.#of(issuer);
    for (const [serial, { listedAt }] of held)
      if (listedAt <= listedBy && hasEnded(serial, listedAt)) held.delete(serial);
  }

  isHeld(issuer: ListedIssuer, serial: Serial): boolean {
    return this.#held.get(issuer)?.has(serial) ?? false;
  }

  /** What a CRL lists with `certificateHold`. */
  of(issuer: ListedIssuer): Iterable<RevokedEntry> {
    return this.#of(issuer).values();
  }

  /** Holds that were released, by serial: what a delta CRL takes off its base (RFC 5280 section 5.3.1, removeFromCRL). */
  released(issuer: ListedIssuer): ReadonlyMap<Serial, ReleasedHold> {
    return this.#releasedOf(issuer);
  }

  #of(issuer: ListedIssuer): Map<Serial, Held> {
    return mapOf(this.#held, issuer);
  }

  #releasedOf(issuer: ListedIssuer): Map<Serial, ReleasedHold> {
    return mapOf(this.#released, issuer);
  }
}

function mapOf<T>(maps: Map<ListedIssuer, Map<Serial, T>>, issuer: ListedIssuer): Map<Serial, T> {
  const known = maps.get(issuer) ?? new Map<Serial, T>();
  maps.set(issuer, known);
  return known;
}
