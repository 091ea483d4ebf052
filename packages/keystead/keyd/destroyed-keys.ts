import type { SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import type { Keystore } from '../keystore/index.ts';
import type { FirmwareDestroyedJournalEntry } from './firmware-entries.ts';
import type { JournalEntry } from './journal-entry.ts';

export interface DestroyedKey {
  /** Its id in the keystore. */
  readonly id: string;
  readonly spkiSha256: SpkiSha256;
  readonly at: Date;
  readonly why: FirmwareDestroyedJournalEntry['why'];
}

/** The firmware keys that were destroyed, made again from the journal at each start. */
export class DestroyedKeys {
  readonly #keys = new Map<string, DestroyedKey>();

  replay(entry: JournalEntry): void {
    if (entry.kind !== 'firmware-destroyed') return;
    const { key: id, spkiSha256: spki, time, why } = entry;
    this.#keys.set(spki, { id, spkiSha256: spki as SpkiSha256, at: new Date(time), why });
  }

  list(): readonly DestroyedKey[] {
    return [...this.#keys.values()];
  }

  /** Ends what was cut short between journal and keystore: a key that the journal has as destroyed is in neither. */
  async finish(keystore: Keystore): Promise<void> {
    const held = new Set(keystore.list().map(({ id }) => id));
    for (const { id, spkiSha256: spki } of this.#keys.values()) {
      if (held.has(id) && spkiSha256(keystore.signer(id).spki) === spki) await keystore.destroy(id);
    }
  }
}
