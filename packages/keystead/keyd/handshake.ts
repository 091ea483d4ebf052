import type { Socket } from 'node:net';
import { constantTimeEqual, hkdf, hmacSha256, randomBytes, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { Channel } from './channel.ts';

/** Length of the channel key that the supervisor gives to both ends, bytes. */
export const CHANNEL_KEY_BYTES = 32;

/** How long a peer may take to prove itself, milliseconds. */
export const HANDSHAKE_MS = 3000;

const MAGIC = Buffer.from('KSKEYD/1', 'latin1');
const NONCE = 32;
const PROOF = 32;
const SERVER = Buffer.from('keystead keyd/1 server proof', 'latin1');
const CLIENT = Buffer.from('keystead keyd/1 client proof', 'latin1');

/**
 * Proves to the peer that this end holds the channel key, and has the peer prove the same, before a byte of anything
 * else is read: client: magic, nonce; server: nonce, HMAC; client: HMAC. Both HMACs are over both nonces and the
 * role, so that neither can be replayed nor turned around; the keys of the channel come from the same nonces.
 * @throws KeysteadError `keyd.unauthenticated` when the peer proves nothing within `timeoutMs` (the socket is then
 *   destroyed); `keyd.unreachable` when it goes away.
 */
export async function acceptPeer(socket: Socket, key: SecretBytes, timeoutMs = HANDSHAKE_MS): Promise<Channel> {
  const reader = new ExactReader(socket, timeoutMs);
  try {
    const hello = await reader.read(MAGIC.length + NONCE);
    if (!constantTimeEqual(hello.subarray(0, MAGIC.length), MAGIC)) throw stranger('something that is no greeting');
    const nonces = new Nonces(hello.subarray(MAGIC.length), randomBytes(NONCE));
    socket.write(Buffer.concat([nonces.server, proof(key, SERVER, nonces)]));
    const shown = await reader.read(PROOF);
    if (!constantTimeEqual(shown, proof(key, CLIENT, nonces))) throw stranger('another channel key');
    return channelOf(socket, key, nonces, 'server', reader.release());
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The client's half of {@link acceptPeer}. */
export async function greetPeer(socket: Socket, key: SecretBytes, timeoutMs = HANDSHAKE_MS): Promise<Channel> {
  const reader = new ExactReader(socket, timeoutMs);
  try {
    const own = randomBytes(NONCE);
    socket.write(Buffer.concat([MAGIC, own]));
    const answer = await reader.read(NONCE + PROOF);
    const nonces = new Nonces(own, answer.subarray(0, NONCE));
    if (!constantTimeEqual(answer.subarray(NONCE), proof(key, SERVER, nonces))) throw stranger('another channel key');
    socket.write(proof(key, CLIENT, nonces));
    return channelOf(socket, key, nonces, 'client', reader.release());
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

class Nonces {
  readonly client: Uint8Array;
  readonly server: Uint8Array;

  constructor(client: Uint8Array, server: Uint8Array) {
    this.client = Uint8Array.from(client);
    this.server = Uint8Array.from(server);
  }

  get both(): Uint8Array {
    return Buffer.concat([this.client, this.server]);
  }
}

const proof = (key: SecretBytes, role: Uint8Array, nonces: Nonces): Uint8Array =>
  hmacSha256(key, Buffer.concat([role, nonces.both]));

function channelOf(
  socket: Socket,
  key: SecretBytes,
  nonces: Nonces,
  role: 'client' | 'server',
  early: Uint8Array,
): Channel {
  const derive = (direction: string) => hkdf('sha256', key, nonces.both, `keystead keyd/1 frames ${direction}`, 32);
  const toServer = derive('client to server');
  const toClient = derive('server to client');
  return role === 'server'
    ? new Channel(socket, { send: toClient, receive: toServer, early })
    : new Channel(socket, { send: toServer, receive: toClient, early });
}

const stranger = (seen: string): KeysteadError =>
  new KeysteadError('keyd.unauthenticated', { field: 'handshake', seen });

/** Reads an exact number of bytes from a socket, with one deadline for all of it. */
class ExactReader {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #held = Buffer.alloc(0);
  #failure: KeysteadError | undefined;
  #wake: () => void = () => {};

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    // Judged after what has arrived was read: a process that was busy for as long must not blame its peer for it.
    const late = (): void => this.#fail(stranger(`no proof within ${timeoutMs} ms`));
    this.#timer = setTimeout(() => setImmediate(late), timeoutMs);
    socket.on('data', this.#onData);
    socket.on('close', this.#onClose);
    socket.on('end', this.#onClose);
    socket.on('error', this.#onClose);
  }

  async read(length: number): Promise<Buffer> {
    while (this.#held.length < length) {
      if (this.#failure !== undefined) {
        this.release();
        throw this.#failure;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return bytes;
  }

  /** Lets go of the socket; returns what came early. */
  release(): Buffer {
    clearTimeout(this.#timer);
    this.#socket.pause();
    this.#socket.off('data', this.#onData);
    this.#socket.off('close', this.#onClose);
    this.#socket.off('end', this.#onClose);
    this.#socket.off('error', this.#onClose);
    // An error that comes between here and the channel's own listener must not end the process.
    this.#socket.on('error', () => {});
    return this.#held;
  }

  #onData = (chunk: Buffer): void => {
    this.#held = Buffer.concat([this.#held, chunk]);
    // What belongs to the channel stays in the kernel until the channel reads: a stranger gets no memory here.
    if (this.#held.length > 4096) this.#socket.pause();
    this.#wake();
  };

  #onClose = (): void => this.#fail(new KeysteadError('keyd.unreachable', { seen: 'a connection that closed' }));

  #fail(error: KeysteadError): void {
    this.#failure ??= error;
    this.#wake();
  }
}
