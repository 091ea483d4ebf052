import type { SpkiSha256 } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { custodyOf, type Policy } from '@keystead/core/lifecycle';
import { type DerivingKeystore, derivingPart, type Keystore } from '../keystore/index.ts';
import type { MasterKeys } from './master-keys.ts';

const LABEL = Buffer.from('keystead serve tls seal 1', 'latin1');
const SEAL_BYTES = 32;
/** How a token refuses that has no masters, or takes none: it served CAs well before there were any to make. */
const UNFIT: ReadonlySet<string> = new Set([
  'keystore.mechanism-unsupported',
  'keystore.template-refused',
  'keystore.token-write-protected',
]);

interface TlsSealParts {
  readonly keystore: Keystore;
  readonly masters: Pick<MasterKeys, 'has' | 'require'>;
}

/**
 * The keys that seal serve's TLS keys where serve keeps them: one for each, derived (SP 800-108r1) from a master that
 * stays in keyd's keystore. So what serve keeps opens only while this keyd runs, and a new channel key changes nothing.
 * The master is none of those of devices, and the label is no caller's. REQ-KEY-STO-02, REQ-KEY-KDF-02
 */
export class TlsSeal {
  readonly #parts: TlsSealParts;

  constructor(parts: TlsSealParts) {
    this.#parts = parts;
  }

  /**
   * @param spkiSha256 of the key that is sealed.
   * @param sealed by which master it is; undefined for one that is to be sealed now.
   * @returns the key, and the master to name when it is to be opened.
   * @throws KeysteadError `tls-key.custody-forbidden`, `tls-key.keystore-unfit`, `tls-key.seal-lost`, `keystore.*`,
   *   `rng.unhealthy`, `keyd.journal-failed`.
   */
  async derive(
    policy: Policy,
    spkiSha256: SpkiSha256,
    sealed: number | undefined,
    now: Date,
  ): Promise<{ readonly key: SecretBytes; readonly master: number }> {
    const { keystore, masters } = this.#parts;
    const { allowed } = custodyOf(policy, 'tls-server');
    if (!allowed.includes('sealed-file'))
      throw new KeysteadError('tls-key.custody-forbidden', { field: 'custody', seen: allowed.join(' ') });
    const deriving = derivingPart(keystore);
    if (deriving === undefined) throw new KeysteadError('tls-key.keystore-unfit', { field: 'keystore' });
    const master = sealed ?? this.#forNew(deriving);
    const id = masterId(master);
    // To open nothing no master is made.
    if (sealed !== undefined && !isIn(deriving, id)) throw new KeysteadError('tls-key.seal-lost', { field: id });
    try {
      await masters.require(deriving, id, "seals serve's TLS keys", now);
      return { key: await deriving.deriver(id).derive(LABEL, Buffer.from(spkiSha256, 'hex'), SEAL_BYTES), master };
    } catch (error) {
      if (!(error instanceof KeysteadError) || !UNFIT.has(error.code)) throw error;
      const seen = `${error.code}: ${error.seen ?? id}`;
      throw new KeysteadError('tls-key.keystore-unfit', { field: 'keystore', seen, cause: error });
    }
  }

  /** The first one, or where that was lost the one after it: none is made again under its name. */
  #forNew(deriving: DerivingKeystore): number {
    let master = 1;
    while (this.#parts.masters.has(masterId(master)) && !isIn(deriving, masterId(master))) master += 1;
    return master;
  }
}

const masterId = (master: number): string => `serve-tls.${master}`;

const isIn = (deriving: DerivingKeystore, id: string): boolean => deriving.derivingKeys().some((key) => key.id === id);
