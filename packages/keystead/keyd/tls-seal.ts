import type { SpkiSha256 } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { custodyOf, type Policy } from '@keystead/core/lifecycle';
import { derivingPart, type Keystore } from '../keystore/index.ts';
import type { MasterKeys } from './master-keys.ts';

const MASTER = 'serve-tls.1';
const LABEL = Buffer.from('keystead serve tls seal 1', 'latin1');
const SEAL_BYTES = 32;

/**
 * The keys that seal serve's TLS keys where serve keeps them: one for each, derived (SP 800-108r1) from a master that
 * stays in keyd's keystore. So what serve keeps opens only while this keyd runs, and a new channel key changes nothing.
 * The master is none of those of devices, and the label is no caller's. REQ-KEY-STO-02, REQ-KEY-KDF-02
 */
export class TlsSeal {
  readonly #parts: { readonly keystore: Keystore; readonly masters: MasterKeys };

  constructor(parts: { readonly keystore: Keystore; readonly masters: MasterKeys }) {
    this.#parts = parts;
  }

  /**
   * @param spkiSha256 of the key that is sealed.
   * @param forNew whether something is to be sealed: to open nothing a master is not made.
   * @throws KeysteadError `tls-key.custody-forbidden`, `tls-key.keystore-unfit`, `tls-key.seal-lost`,
   *   `diversify.master-lost`, `keystore.*`, `rng.unhealthy`, `keyd.journal-failed`.
   */
  async derive(policy: Policy, spkiSha256: SpkiSha256, forNew: boolean, now: Date): Promise<SecretBytes> {
    const { keystore, masters } = this.#parts;
    const { allowed } = custodyOf(policy, 'tls-server');
    if (!allowed.includes('sealed-file'))
      throw new KeysteadError('tls-key.custody-forbidden', { field: 'custody', seen: allowed.join(' ') });
    const deriving = derivingPart(keystore);
    if (deriving === undefined) throw new KeysteadError('tls-key.keystore-unfit', { field: 'keystore' });
    if (!forNew && !masters.has(MASTER)) throw new KeysteadError('tls-key.seal-lost', { field: MASTER });
    await masters.require(deriving, MASTER, "seals serve's TLS keys", now);
    return deriving.deriver(MASTER).derive(LABEL, Buffer.from(spkiSha256, 'hex'), SEAL_BYTES);
  }
}
