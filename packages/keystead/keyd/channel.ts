import type { Socket } from 'node:net';
import { constantTimeEqual, hmacSha256With, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { encodeFrame, FrameDecoder, MAX_FRAME_BYTES } from './frames.ts';

const MAC = 32;
type Mac = ReturnType<typeof hmacSha256With>;

/** The longest message, bytes of UTF-8: a frame without its MAC. */
export const MAX_MESSAGE_BYTES = MAX_FRAME_BYTES - MAC;

/** What a channel is made of; it takes over the keys and wipes them. */
interface ChannelParts {
  readonly send: SecretBytes;
  readonly receive: SecretBytes;
  /** What came behind the handshake in the same read. */
  readonly early: Uint8Array;
}

/** What the owner of a channel hears of. */
export interface ChannelEvents {
  /** A whole message, authentic and in order. */
  message(text: string): void;
  /** The end, once; with the reason when the peer broke a rule. */
  closed(why: KeysteadError | undefined): void;
}

/**
 * An authenticated connection that carries text messages: a frame is HMAC-SHA-256 over its number and message, then
 * the message (UTF-8). So it is not only the first byte that is authenticated: whoever carries a handshake between
 * the two ends can neither put in, change, drop, repeat nor reorder a message afterwards. It is not encrypted: a
 * Unix socket is seen by nobody else.
 */
export class Channel {
  readonly #socket: Socket;
  readonly #send: Mac;
  readonly #receive: Mac;
  readonly #decoder = new FrameDecoder();
  readonly #early: Uint8Array;
  #sent = 0;
  #received = 0;
  #corked = false;
  #events: ChannelEvents | undefined;

  constructor(socket: Socket, parts: ChannelParts) {
    this.#socket = socket;
    this.#send = hmacSha256With(parts.send);
    this.#receive = hmacSha256With(parts.receive);
    parts.send.wipe();
    parts.receive.wipe();
    this.#early = parts.early;
  }

  /** Begins to read. */
  open(events: ChannelEvents): void {
    this.#events = events;
    let failure: KeysteadError | undefined;
    const take = (chunk: Uint8Array): void => {
      try {
        for (const frame of this.#decoder.push(chunk)) events.message(this.#unseal(frame));
      } catch (error) {
        if (!(error instanceof KeysteadError)) throw error;
        failure ??= error;
        this.#socket.destroy();
      }
    };
    this.#socket.on('data', take);
    this.#socket.on('error', () => {});
    this.#socket.once('close', () => {
      this.#events = undefined;
      events.closed(failure);
    });
    if (this.#socket.destroyed) return;
    if (this.#early.length > 0) take(this.#early);
    this.#socket.resume();
  }

  /** Sends a message; several of one turn of the event loop leave in one write. A closed channel drops it. */
  send(text: string): void {
    if (this.#socket.destroyed || this.#events === undefined) return;
    const message = Buffer.from(text, 'utf8');
    const frame = encodeFrame([this.#send(numbered(this.#sent), message), message]);
    this.#sent += 1;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(frame);
  }

  /** Bytes that the peer has not taken yet. */
  get backlog(): number {
    return this.#socket.writableLength;
  }

  /** Stops and goes on reading: what the peer sends meanwhile waits in the kernel, and then with the peer. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Calls back once when the peer has taken everything. */
  onDrain(callback: () => void): void {
    this.#socket.once('drain', callback);
  }

  /** Closes after everything that was sent is handed over. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #unseal(frame: Buffer): string {
    const message = frame.subarray(MAC);
    const mac = frame.subarray(0, MAC);
    if (mac.length < MAC || !constantTimeEqual(mac, this.#receive(numbered(this.#received), message))) {
      throw new KeysteadError('keyd.frame-refused', { field: 'frame', seen: 'a wrong MAC' });
    }
    this.#received += 1;
    try {
      return utf8.decode(message);
    } catch (cause) {
      throw new KeysteadError('keyd.frame-refused', { field: 'frame', seen: 'bytes that are not UTF-8', cause });
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The number of a frame in its direction, from 0, as 8 bytes. */
function numbered(number: number): Uint8Array {
  const head = Buffer.allocUnsafe(8);
  head.writeBigUInt64BE(BigInt(number));
  return head;
}
