import type { FirmwareKeyJournalEntry } from './firmware-entries.ts';
import type { JournalEntry } from './journal-entry.ts';
import { Turnstile } from './turnstile.ts';

type Order = Omit<FirmwareKeyJournalEntry, 'n'>;

/** The orders about firmware keys that were carried out, made again from the journal: each takes effect once. */
export class FirmwareKeyOrders {
  /** One at a time is judged and carried out. */
  readonly turnstile = new Turnstile();
  readonly #done = new Map<string, Order>();

  replay(entry: JournalEntry): void {
    if (entry.kind === 'firmware-key') this.take(entry);
  }

  /** Takes an order into account whose entry is durable. */
  take(order: Order): void {
    this.#done.set(order.orderSha256, order);
  }

  of(orderSha256: string): Order | undefined {
    return this.#done.get(orderSha256);
  }
}
