import { hkdf, openBytes, randomBytes, SecretBytes, sealBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/** The first bytes of every sealed file: what it is and its version. */
const MAGIC = Buffer.from('KSDEV\x00\x01\n', 'latin1');
const SALT_LENGTH = 32;

/** What is sealed; each kind has a key of its own and is bound to it. */
export type SealedKind = 'state' | 'key';

/**
 * Seals the files of one device. The device secret is what a TPM or secure element gives out
 * (`TpmDevice`): 32 uniformly random bytes that never lie beside the files.
 * A file is magic ‖ salt (32 bytes) ‖ AES-256-GCM; its key is HKDF-SHA-256 (RFC 5869) over the secret with
 * that salt and the kind as info, so no two files share a key. The associated data names kind and file, so
 * that a sealed file cannot be put in another's place. An older version of the same file is not noticed:
 * that takes a monotonic counter in hardware.
 *
 * REQ-KEY-STO-02: a private key of the device is on disk only in this form.
 */
export class Sealer {
  readonly #secret: SecretBytes;

  /** Takes a copy of `secret`. @throws RangeError unless it is 32 bytes long. */
  constructor(secret: SecretBytes) {
    if (secret.length !== 32) throw new RangeError('the device secret must be 32 bytes');
    this.#secret = secret.use((bytes) => SecretBytes.take(Uint8Array.from(bytes)));
  }

  seal(kind: SealedKind, name: string, plaintext: Uint8Array): Uint8Array {
    const salt = randomBytes(SALT_LENGTH);
    using key = this.#key(kind, salt);
    return Buffer.concat([MAGIC, salt, sealBytes(key, plaintext, associatedData(kind, name))]);
  }

  /** @throws KeysteadError state.damaged for a file that is truncated, altered, another's or of another device. */
  open(kind: SealedKind, name: string, sealed: Uint8Array): SecretBytes {
    if (sealed.length < MAGIC.length + SALT_LENGTH || Buffer.compare(sealed.subarray(0, MAGIC.length), MAGIC) !== 0) {
      throw new KeysteadError('state.damaged', { field: name, seen: `${sealed.length} bytes that are no sealed file` });
    }
    using key = this.#key(kind, sealed.subarray(MAGIC.length, MAGIC.length + SALT_LENGTH));
    try {
      return openBytes(key, sealed.subarray(MAGIC.length + SALT_LENGTH), associatedData(kind, name));
    } catch (cause) {
      throw new KeysteadError('state.damaged', { field: name, seen: 'a seal that does not open', cause });
    }
  }

  wipe(): void {
    this.#secret.wipe();
  }

  #key(kind: SealedKind, salt: Uint8Array): SecretBytes {
    return hkdf('sha256', this.#secret, salt, `keystead agent/1 seal ${kind}`, 32);
  }
}

const associatedData = (kind: SealedKind, name: string): Uint8Array =>
  Buffer.from(`keystead agent/1\0${kind}\0${name}`);
