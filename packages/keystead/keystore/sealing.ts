import {
  constantTimeEqual,
  hmacSha256,
  openBytes,
  PurposeKeys,
  passwordKey,
  type SecretBytes,
  sealBytes,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  authenticatedBytes,
  formatSealedFile,
  parseSealedFile,
  type SealedFile,
  type SealedHeader,
  type SealedKey,
  sealedKeyContext,
} from './sealed-format.ts';

/** What is clear of a key in the file. */
export type KeyFacts = Omit<SealedKey, 'sealed'>;

/**
 * The two keys of a sealed keystore, from its passphrase, and what they do: one seals the private keys (AES-256-GCM),
 * the other authenticates the whole file (HMAC-SHA-256). Both are HKDF's from the stretched passphrase, so
 * that neither is used for the other's purpose. REQ-KEY-STO-02, REQ-KEY-KDF-02.
 */
export class Sealing {
  readonly header: SealedHeader;
  readonly #sealKey: SecretBytes;
  readonly #macKey: SecretBytes;

  private constructor(header: SealedHeader, sealKey: SecretBytes, macKey: SecretBytes) {
    this.header = header;
    this.#sealKey = sealKey;
    this.#macKey = macKey;
  }

  /** Takes a few tenths of a second. @throws KeysteadError `kdf.*` for parameters outside of the bounds. */
  static async fromPassphrase(header: SealedHeader, passphrase: SecretBytes): Promise<Sealing> {
    using master = await passwordKey(header.kdf, passphrase, 32);
    // The salt went into the master already.
    using purposes = new PurposeKeys(master, new Uint8Array(), 'keystead sealed keystore 1');
    return new Sealing(header, purposes.derive('seal private keys', 32), purposes.derive('authenticate the file', 32));
  }

  /** The file's bytes. */
  format(keys: readonly SealedKey[]): Uint8Array {
    const mac = hmacSha256(this.#macKey, authenticatedBytes(this.header, keys));
    return formatSealedFile({ header: this.header, keys, mac });
  }

  /**
   * The keys of a file that these keys made.
   * @throws KeysteadError `keystore.damaged`, `keystore.wrong-passphrase`.
   */
  parse(bytes: Uint8Array): readonly SealedKey[] {
    return this.authenticate(parseSealedFile(bytes));
  }

  /**
   * The file's keys, once the mac fits. The header that counts is the file's own: after a change of it the mac is
   * another, whatever keys this object holds.
   * @throws KeysteadError `keystore.wrong-passphrase`: the file's form and checksum were right, so that either the
   *   passphrase is wrong or somebody changed the file and its checksum; the two cannot be told apart.
   */
  authenticate(file: SealedFile): readonly SealedKey[] {
    const mac = hmacSha256(this.#macKey, authenticatedBytes(file.header, file.keys));
    if (!constantTimeEqual(mac, file.mac)) {
      throw new KeysteadError('keystore.wrong-passphrase', {
        field: 'passphrase',
        remedy: 'give the right passphrase; if it is right, somebody has changed the file: restore it from its backup',
      });
    }
    return file.keys;
  }

  /** @param pkcs8 stays with the caller. */
  seal(facts: KeyFacts, pkcs8: SecretBytes): SealedKey {
    const sealed = pkcs8.use((bytes) => sealBytes(this.#sealKey, bytes, sealedKeyContext(this.header, facts)));
    return { ...facts, sealed };
  }

  /** The private key, PKCS#8 DER. @throws KeysteadError `keystore.damaged`. */
  open(key: SealedKey): SecretBytes {
    try {
      return openBytes(this.#sealKey, key.sealed, sealedKeyContext(this.header, key));
    } catch (cause) {
      throw new KeysteadError('keystore.damaged', { field: `key ${key.id}`, seen: 'a seal that does not open', cause });
    }
  }

  wipe(): void {
    this.#sealKey.wipe();
    this.#macKey.wipe();
  }
}
