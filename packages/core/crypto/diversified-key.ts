import { createCipheriv } from 'node:crypto';
import type { SpkiSha256 } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { uint32 } from './kdf-bounds.ts';
import type { SecretBytes } from './secret.ts';

/** For what and for whom a key is derived, as {@link kbkdf} takes it. Neither is secret. */
export interface DiversifiedInput {
  readonly label: Uint8Array;
  readonly context: Uint8Array;
}

/**
 * Label and context of the key that one device has for one purpose (SP 800-108r1 section 4: the label says what the key
 * is for, the context whose it is). Label: `keystead device key 2 ` and the purpose, ASCII. Context: the version of the
 * master, 4 octets big-endian; the SHA-256 of the SubjectPublicKeyInfo that the device was provisioned with, 32 octets; the
 * device id, UTF-8. The parts of fixed length stand first, so that no two devices have one context; the hash ties the key
 * to the identity, so that a device id alone, which is printed on the housing, does not name it. REQ-KEY-KDF-01
 * @param version 1 to 4294967295. @throws KeysteadError `kdf.purpose-malformed`, `kdf.context-malformed`.
 */
export function diversifiedInput(
  purpose: string,
  version: number,
  identity: SpkiSha256,
  deviceId: string,
): DiversifiedInput {
  // The purpose has no 0x00, so the one after the label always separates.
  if (!/^[a-z0-9][a-z0-9 .-]{0,63}$/.test(purpose))
    throw new KeysteadError('kdf.purpose-malformed', { field: 'purpose', seen: purpose });
  const device = Buffer.from(deviceId, 'utf8');
  const key = Buffer.from(identity, 'hex');
  if (device.length < 1 || device.length > 255 || !deviceId.isWellFormed())
    throw new KeysteadError('kdf.context-malformed', { field: 'device id', seen: `${device.length} bytes` });
  if (key.length !== 32)
    throw new KeysteadError('kdf.context-malformed', { field: 'identity', seen: `${key.length} bytes` });
  return {
    label: Buffer.from(`keystead device key 2 ${purpose}`, 'latin1'),
    context: Buffer.concat([uint32(version), key, device]),
  };
}

/**
 * The check value of a symmetric key of 16 or 32 bytes: the first three octets of the AES encryption of sixteen octets
 * 0x01, hex, upper case (GlobalPlatform Card Specification 2.3.1 section B.6). It shows that two parties have one key and
 * gives away 24 bits of nothing: an AES output that is used for nothing else.
 * @throws RangeError for a key of another length.
 */
export function keyCheckValue(key: SecretBytes): string {
  if (key.length !== 16 && key.length !== 32) throw new RangeError('a check value is of 16 or 32 bytes');
  return key.use((bytes) => {
    const cipher = createCipheriv(`aes-${bytes.length * 8}-ecb`, bytes, null).setAutoPadding(false);
    return cipher.update(Buffer.alloc(16, 1)).toString('hex', 0, 3).toUpperCase();
  });
}
