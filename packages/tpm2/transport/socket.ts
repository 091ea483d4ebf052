import { createConnection, type NetConnectOpts, type Socket } from 'node:net';
import { malformed } from '../wire/reader.ts';
import { join } from '../wire/writer.ts';
import { responseLength, type Transport, unavailable } from './transport.ts';

/**
 * The data channel of swtpm, over a Unix or TCP socket. swtpm serves one connection at a time, so each command has
 * its own: other programs get their turn between two commands, as tpm2-tools do it.
 */
export class SocketTransport implements Transport {
  readonly address: string;
  readonly #options: NetConnectOpts;
  #closed = false;
  #socket: Socket | undefined;

  constructor(address: string, options: NetConnectOpts) {
    this.address = address;
    this.#options = options;
  }

  async exchange(command: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#closed) throw unavailable(this.address, 'a connection that was closed');
    const socket = createConnection(this.#options);
    this.#socket = socket;
    try {
      return await this.#answer(socket, command, timeoutMs);
    } finally {
      this.#socket = undefined;
      await ended(socket);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #answer(socket: Socket, command: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let received: Uint8Array = new Uint8Array(0);
      const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
      const fail = (seen: string, cause?: unknown): void => {
        clearTimeout(timer);
        reject(unavailable(this.address, seen, cause));
      };
      socket.once('error', (error) => fail(error.message, error));
      socket.once('close', () => fail(`the end of the connection after ${received.length} bytes`));
      socket.once('connect', () => socket.write(command));
      socket.on('data', (chunk: Buffer) => {
        try {
          received = join(received, chunk);
          const length = responseLength(received);
          if (length === undefined || received.length < length) return;
          if (received.length > length)
            throw malformed('the response', `${received.length - length} bytes after its end`);
          clearTimeout(timer);
          resolve(received);
        } catch (error) {
          clearTimeout(timer);
          reject(error);
        }
      });
    });
  }
}

/** swtpm takes the next connection only when this one is gone. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.once('close', () => resolve());
    socket.destroy();
  });
}
