import type { IssuerId, ListedIssuer, RevocationsAlone } from '@keystead/core/lifecycle';
import type { JournalEntry } from './journal-entry.ts';
import type { RevocationOrderJournalEntry } from './revocation-entries.ts';
import { Turnstile } from './turnstile.ts';

type Order = Omit<RevocationOrderJournalEntry, 'n'>;

/**
 * What keyd took out of service, and on whose word: the orders of people, made again from the journal, and how much there
 * was lately without one. REQ-KEY-REV-01, REQ-KEY-SOD-02
 */
export class RevocationOrders {
  /** One order at a time is judged and carried out. */
  readonly turnstile = new Turnstile();
  readonly #done = new Map<string, Order>();
  readonly #issuers = new Set<ListedIssuer>();
  /** When how many were listed without an order, milliseconds since 1970, the oldest first. */
  readonly #alone: { readonly at: number; count: number }[] = [];

  replay(entry: JournalEntry): void {
    if (entry.kind === 'revocation-order') this.take(entry);
    const unsigned = entry.kind === 'crl' || (entry.kind === 'revocations' && entry.by === undefined);
    if (!unsigned) return;
    // Of before it was written down: each that stands there, rather too many than too few.
    const alone = entry.alone ?? (this.#issuers.has(entry.issuer) ? 0 : entry.revoked.length);
    if (alone > 0) this.#add(Date.parse(entry.time), alone);
  }

  /** Takes an order into account whose entry is durable. */
  take(order: Order): void {
    this.#done.set(order.orderSha256, order);
    if (order.selector.kind === 'ca' && order.act === 'revoke') this.#issuers.add(order.selector.ca);
  }

  of(orderSha256: string): Order | undefined {
    return this.#done.get(orderSha256);
  }

  /** Whether people ordered that all goes that this CA issued. */
  coversAllOf(issuer: IssuerId | ListedIssuer): boolean {
    return this.#issuers.has(issuer);
  }

  /**
   * Takes as many of `wanted` as may still be listed without an order. Give back with `giveBack` what was not listed.
   * @param now milliseconds since 1970.
   */
  takeAlone(wanted: number, { certificates, seconds }: RevocationsAlone, now: number): number {
    const lately = this.#aloneSince(now - seconds * 1000);
    const taken = Math.max(0, Math.min(wanted, certificates - lately));
    if (taken > 0) this.#add(now, taken);
    return taken;
  }

  giveBack(count: number): void {
    for (let left = count; left > 0; ) {
      const last = this.#alone.at(-1);
      if (last === undefined) return;
      const back = Math.min(left, last.count);
      last.count -= back;
      left -= back;
      if (last.count === 0) this.#alone.pop();
    }
  }

  /** From the newest back: what is older than the policy looks at is a year of minutes. */
  #aloneSince(since: number): number {
    let sum = 0;
    for (let index = this.#alone.length - 1; index >= 0; index -= 1) {
      const { at, count } = this.#alone[index] ?? { at: since, count: 0 };
      if (at <= since) break;
      sum += count;
    }
    return sum;
  }

  /** Those of one minute are one number. */
  #add(at: number, count: number): void {
    const last = this.#alone.at(-1);
    if (last !== undefined && at - last.at < 60_000) last.count += count;
    else this.#alone.push({ at, count });
    // A year is the longest that a policy looks back.
    while ((this.#alone[0]?.at ?? at) < at - 366 * 86_400_000) this.#alone.shift();
  }
}
