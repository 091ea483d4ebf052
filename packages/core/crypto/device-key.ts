import { KeysteadError } from '../errors/index.ts';
import { kbkdf } from './kbkdf.ts';
import type { SecretBytes } from './secret.ts';

/**
 * The key of one device for one purpose, from a fleet's master: 32 bytes by {@link kbkdf} in counter mode with HMAC-SHA-256,
 * label 'keystead device key 1 ' and the purpose, context the device id. The same request gives the same key again, so
 * that a backend keeps only the master; another purpose or device gives an unrelated one, and whoever has a device's key
 * learns nothing of the master. A master is used for this and nothing else. REQ-KEY-KDF-01.
 * @param master at least 32 bytes; stays with the caller.
 * @param deviceId 1 to 255 bytes as UTF-8. @param purpose lower-case letters, digits, blanks, dots and hyphens.
 * @throws KeysteadError `kdf.purpose-malformed`, `kdf.context-malformed`.
 * @throws RangeError for a master of less than 32 bytes.
 */
export function deviceKey(master: SecretBytes, deviceId: string, purpose: string): SecretBytes {
  if (master.length < 32) throw new RangeError("a fleet's master key has at least 32 bytes");
  // The purpose has no 0x00, so the one after the label always separates (SP 800-108r1 section 4).
  if (!/^[a-z0-9][a-z0-9 .-]{0,63}$/.test(purpose)) {
    throw new KeysteadError('kdf.purpose-malformed', { field: 'purpose', seen: purpose });
  }
  const device = Buffer.from(deviceId);
  if (device.length < 1 || device.length > 255 || !deviceId.isWellFormed()) {
    throw new KeysteadError('kdf.context-malformed', { field: 'device id', seen: `${device.length} bytes` });
  }
  return kbkdf('sha256', master, Buffer.from(`keystead device key 1 ${purpose}`), device, 32);
}
