import { KeysteadError } from '@keystead/core/errors';
import type { DerivingKeystore } from '../keystore/index.ts';
import type { Journal } from './journal.ts';
import type { MasterKeyJournalEntry } from './journal-entry.ts';

/**
 * The masters that the journal knows: one that was made is never made again under its name, since another one would give
 * every device another key, or open nothing that was sealed, and nobody would see why.
 */
export class KnownMasters {
  readonly #ids = new Set<string>();

  replay({ key }: MasterKeyJournalEntry): void {
    this.#ids.add(key);
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}

/** Makes the masters of this keystore, each the first time that it is asked for. */
export class MasterKeys {
  readonly #known: KnownMasters;
  readonly #journal: Journal;
  #last: Promise<unknown> = Promise.resolve();

  constructor(known: KnownMasters, journal: Journal) {
    this.#known = known;
    this.#journal = journal;
  }

  has(id: string): boolean {
    return this.#known.has(id);
  }

  /**
   * The master is in the keystore and in the journal when this resolves.
   * @throws KeysteadError `diversify.master-lost`, `keystore.*`, `rng.unhealthy`, `keyd.journal-failed`.
   */
  async require(keystore: DerivingKeystore, id: string, purpose: string, now: Date): Promise<void> {
    // In turn: two that come first at once would make two masters of one name.
    const ready = this.#last.then(() => this.#make(keystore, id, purpose, now));
    this.#last = ready.catch(() => {});
    await ready;
  }

  async #make(keystore: DerivingKeystore, id: string, purpose: string, now: Date): Promise<void> {
    const present = keystore.derivingKeys().find((key) => key.id === id);
    if (present !== undefined && this.#known.has(id)) return;
    if (present === undefined && this.#known.has(id)) throw new KeysteadError('diversify.master-lost', { field: id });
    // One that is there and not in the journal was made just before a crash, and has given nothing to anybody.
    const made = present ?? (await keystore.generateDeriving(id, purpose));
    const entry = { kind: 'master-key', key: id, custody: made.custody, time: now.toISOString() } as const;
    await this.#journal.append(entry);
    this.#known.replay({ ...entry, n: 0 });
  }
}
