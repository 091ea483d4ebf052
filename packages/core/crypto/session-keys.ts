import { PurposeKeys } from './purpose-keys.ts';
import type { SecretBytes } from './secret.ts';

/** The keys of one session, one for each direction, so that no message can be played back to its sender. */
export interface SessionKeys {
  /** AES-256 key of what the client (the device) sends. */
  readonly clientWrite: SecretBytes;
  /** AES-256 key of what the server sends. */
  readonly serverWrite: SecretBytes;
  wipe(): void;
  [Symbol.dispose](): void;
}

/**
 * The keys of one session by HKDF-SHA-256 from a secret that both ends share, such as a TLS exporter (RFC 8446
 * section 7.5, RFC 9266). Both ends derive the same two keys; they are fresh for as long as master or salt is.
 * REQ-KEY-KDF-01.
 * @param master at least 32 bytes; it stays with the caller, who wipes it.
 * @param salt both ends' random parts, in an order that the protocol fixes.
 * @param context the protocol and both peers' names, the same at both ends; at most 512 bytes.
 * @throws RangeError for a master of less than 32 bytes. @throws KeysteadError `kdf.length`.
 */
export function sessionKeys(master: SecretBytes, salt: Uint8Array, context: string | Uint8Array): SessionKeys {
  if (master.length < 32) throw new RangeError('a session master secret has at least 32 bytes');
  using purposes = new PurposeKeys(master, salt, context);
  const clientWrite = purposes.derive('session client write', 32);
  const serverWrite = purposes.derive('session server write', 32);
  const wipe = (): void => {
    clientWrite.wipe();
    serverWrite.wipe();
  };
  return { clientWrite, serverWrite, wipe, [Symbol.dispose]: wipe };
}
