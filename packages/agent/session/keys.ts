import type { TLSSocket } from 'node:tls';
import { SecretBytes, type SessionKeys, sessionKeys } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/** Labels that no standard assigns begin so (RFC 5705 section 4). */
const EXPORTER_LABEL = 'EXPERIMENTAL keystead session 1';
/** Bytes of salt that each side gives; HKDF's salt is the device's followed by the service's. */
export const SALT_LENGTH = 32;

/** The direction that a key serves, and nothing else. */
export type SessionPurpose = 'device to service' | 'service to device';

/**
 * Derives the keys of a session from a TLS connection whose client is the device: the master secret from the TLS
 * exporter (RFC 8446 section 7.5, RFC 5705) with the device id as context, then HKDF (RFC 5869) with both sides'
 * salts and one info for each direction. Both ends get the same keys, and only they: a man in the middle has
 * another master secret. A new connection, or new salts, give new keys; nothing of them is stored.
 *
 * REQ-KEY-KDF-01.
 * @param salts 32 bytes from each side.
 * @throws KeysteadError session.frame-refused when the connection is not TLS 1.3 or a salt has another length.
 */
export function tlsSessionKeys(
  socket: TLSSocket,
  deviceId: string,
  salts: { readonly device: Uint8Array; readonly service: Uint8Array },
): SessionKeys {
  if (socket.getProtocol() !== 'TLSv1.3') {
    throw new KeysteadError('session.frame-refused', { field: 'protocol', seen: socket.getProtocol() ?? 'none' });
  }
  const { device, service } = salts;
  if (device.length !== SALT_LENGTH || service.length !== SALT_LENGTH) {
    const seen = `${device.length} and ${service.length} bytes`;
    throw new KeysteadError('session.frame-refused', { field: 'salt', seen });
  }
  const master = socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.from(deviceId, 'utf8'));
  return sessionKeys(SecretBytes.take(master), Buffer.concat([device, service]), `tls session of ${deviceId}`);
}
