import type { SpkiSha256 } from '@keystead/core/bytes';
import { diversifiedInput, keyCheckValue, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { DiversifiedKey } from '@keystead/core/lifecycle';
import { canDerive, type Keystore } from '../keystore/index.ts';
import type { DiversifiedFacts } from './attestation/index.ts';
import type { Journal } from './journal.ts';
import type { MasterKeyJournalEntry } from './journal-entry.ts';

/** The id of a master in the keystore. */
export const masterId = ({ purpose, version }: Pick<DiversifiedKey, 'purpose' | 'version'>): string =>
  `diversify.${purpose}.${version}`;

/**
 * The masters that the journal knows: one that was made is never made again under its name, since another one would give
 * every device another key and nobody would see why.
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

export interface DiversificationParts {
  readonly keystore: Keystore;
  readonly known: KnownMasters;
  readonly journal: Journal;
}

/**
 * Symmetric keys of devices, derived from masters in keyd's keystore (SP 800-108r1). A master is made the first time that
 * the policy in force asks for it. What is derived is the caller's to wipe, and is stored nowhere. REQ-KEY-KDF-01
 */
export class Diversification {
  readonly #parts: DiversificationParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: DiversificationParts) {
    this.#parts = parts;
  }

  /**
   * The key of one device for one purpose.
   * @param identity of the key that the device was provisioned with.
   * @throws KeysteadError `diversify.unsupported`, `diversify.master-lost`, `keystore.*`, `rng.unhealthy`,
   *   `keyd.journal-failed`.
   */
  async derive(key: DiversifiedKey, deviceId: string, identity: SpkiSha256, now: Date): Promise<SecretBytes> {
    const { keystore } = this.#parts;
    if (!canDerive(keystore))
      throw new KeysteadError('diversify.unsupported', { field: 'keystore', seen: key.purpose });
    // In turn: two that come first at once would make two masters of one name.
    const ready = this.#last.then(() => this.#requireMaster(key, now));
    this.#last = ready.catch(() => {});
    await ready;
    const { label, context } = diversifiedInput(key.purpose, key.version, identity, deviceId);
    return keystore.deriver(masterId(key)).derive(label, context, key.bytes);
  }

  /** What a record tells of each of a device's keys. */
  async facts(
    keys: readonly DiversifiedKey[],
    deviceId: string,
    identity: SpkiSha256,
    now: Date,
  ): Promise<DiversifiedFacts[]> {
    const facts: DiversifiedFacts[] = [];
    for (const key of keys) {
      using derived = await this.derive(key, deviceId, identity, now);
      facts.push({ purpose: key.purpose, version: key.version, kcv: keyCheckValue(derived) });
    }
    return facts;
  }

  async #requireMaster(wanted: DiversifiedKey, now: Date): Promise<void> {
    const { keystore, known, journal } = this.#parts;
    if (!canDerive(keystore)) return;
    const id = masterId(wanted);
    const present = keystore.derivingKeys().find((key) => key.id === id);
    if (present !== undefined && known.has(id)) return;
    if (present === undefined && known.has(id)) throw new KeysteadError('diversify.master-lost', { field: id });
    // One that is there and not in the journal was made just before a crash, and has given nothing to anybody.
    const made = present ?? (await keystore.generateDeriving(id, `master of device keys: ${wanted.purpose}`));
    const entry = { kind: 'master-key', key: id, custody: made.custody, time: now.toISOString() } as const;
    await journal.append(entry);
    known.replay({ ...entry, n: 0 });
  }
}
