import type { SpkiSha256 } from '@keystead/core/bytes';
import { diversifiedInput, keyCheckValue, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { DiversifiedKey } from '@keystead/core/lifecycle';
import { canDerive, type Keystore } from '../keystore/index.ts';
import type { DiversifiedFacts } from './attestation/index.ts';
import type { MasterKeys } from './master-keys.ts';

/** The id of a master in the keystore. */
export const masterId = ({ purpose, version }: Pick<DiversifiedKey, 'purpose' | 'version'>): string =>
  `diversify.${purpose}.${version}`;

export interface DiversificationParts {
  readonly keystore: Keystore;
  readonly masters: MasterKeys;
}

/**
 * Symmetric keys of devices, derived from masters in keyd's keystore (SP 800-108r1). A master is made the first time that
 * the policy in force asks for it. What is derived is the caller's to wipe, and is stored nowhere. REQ-KEY-KDF-01
 */
export class Diversification {
  readonly #parts: DiversificationParts;

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
    const { keystore, masters } = this.#parts;
    if (!canDerive(keystore))
      throw new KeysteadError('diversify.unsupported', { field: 'keystore', seen: key.purpose });
    await masters.require(keystore, masterId(key), `master of device keys: ${key.purpose}`, now);
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
}
