import type { TLSSocket } from 'node:tls';
import { FrameReader, FrameWriter, SALT_LENGTH, tlsSessionKeys } from '@keystead/agent';
import { toBase64 } from '@keystead/core/bytes';
import { randomBytes, type SessionKeys } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/** The service's end of a session with one device on one connection. */
export class ServiceSession {
  /** What the service answers to the device's greeting: its salt, base64. */
  readonly greeting: { readonly salt: string };
  readonly #keys: SessionKeys;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;

  private constructor(keys: SessionKeys, salt: Uint8Array) {
    this.greeting = { salt: toBase64(salt) };
    this.#keys = keys;
    this.#reader = new FrameReader(keys.clientWrite, 'device to service');
    this.#writer = new FrameWriter(keys.serverWrite, 'service to device');
  }

  /** @param deviceSalt the body of the device's greeting, 32 bytes. @throws KeysteadError session.frame-refused. */
  static open(socket: TLSSocket, deviceId: string, deviceSalt: Uint8Array): ServiceSession {
    if (deviceSalt.length !== SALT_LENGTH) {
      throw new KeysteadError('session.frame-refused', { field: 'salt', seen: `${deviceSalt.length} bytes` });
    }
    const salt = randomBytes(SALT_LENGTH);
    return new ServiceSession(tlsSessionKeys(socket, deviceId, { device: deviceSalt, service: salt }), salt);
  }

  /** Opens the device's message and seals the same for the way back. @throws KeysteadError session.frame-refused. */
  echo(frame: Uint8Array): Uint8Array {
    return this.#writer.seal(this.#reader.open(frame));
  }

  close(): void {
    this.#keys[Symbol.dispose]();
  }
}
