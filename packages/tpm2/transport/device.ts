import { close, open, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { BUFFER_BYTES } from '../wire/constants.ts';
import { malformed } from '../wire/reader.ts';
import { join } from '../wire/writer.ts';
import { responseLength, type Transport, unavailable } from './transport.ts';

const openFile = promisify(open);
const closeFile = promisify(close);

/**
 * A character device of Linux: `/dev/tpmrm0`, whose resource manager gives each opener objects and sessions of its
 * own, or `/dev/tpm0`. The driver blocks; that happens on a thread of libuv's pool. A command whose time ran out
 * keeps that thread until the driver gives up, and the device is not used again by this object.
 */
export class DeviceTransport implements Transport {
  readonly address: string;
  readonly #file: number;
  #unusable: string | undefined;
  #busy: Promise<unknown> = Promise.resolve();

  /** @param file an open file descriptor, which belongs to the transport from here on. */
  constructor(address: string, file: number) {
    this.address = address;
    this.#file = file;
  }

  /** @throws KeysteadError `tpm2.unavailable`. */
  static async open(path: string): Promise<DeviceTransport> {
    try {
      return new DeviceTransport(path, await openFile(path, 'r+'));
    } catch (cause) {
      throw unavailable(path, cause instanceof Error ? cause.message : 'an error', cause);
    }
  }

  async exchange(command: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#unusable !== undefined) throw unavailable(this.address, this.#unusable);
    const work = this.#writeAndRead(command);
    this.#busy = work.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        this.#unusable = `no answer within ${timeoutMs} ms to an earlier command`;
        reject(unavailable(this.address, `no answer within ${timeoutMs} ms`));
      }, timeoutMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    if (this.#unusable === 'closed') return;
    const late = this.#unusable !== undefined;
    this.#unusable = 'closed';
    // Not under a thread that is still in the driver: the number could be another file's by then.
    const closing = this.#busy.then(() => closeFile(this.#file));
    if (!late) await closing;
  }

  async #writeAndRead(command: Uint8Array): Promise<Uint8Array> {
    try {
      // The driver takes a command in one write and gives its response in one read; a socket may give it in pieces.
      const written = await transfer(write, this.#file, command);
      if (written !== command.length) throw new Error(`${written} of ${command.length} bytes taken`);
      const buffer = new Uint8Array(BUFFER_BYTES);
      let received: Uint8Array = buffer.subarray(0, await transfer(read, this.#file, buffer));
      for (;;) {
        const length = responseLength(received);
        if (length === received.length) return received.slice();
        if (length !== undefined && received.length > length) {
          throw malformed('the response', `${received.length - length} bytes after its end`);
        }
        const more = new Uint8Array(BUFFER_BYTES);
        const count = await transfer(read, this.#file, more);
        if (count === 0) throw malformed('the response', `its end after ${received.length} bytes`);
        received = join(received, more.subarray(0, count));
      }
    } catch (cause) {
      if (
        cause instanceof Error &&
        'code' in cause &&
        typeof cause.code === 'string' &&
        cause.code.startsWith('tpm2.')
      ) {
        throw cause;
      }
      throw unavailable(this.address, cause instanceof Error ? cause.message : 'an error', cause);
    }
  }
}

type Transfer = typeof read | typeof write;

/** Without a position: a device has none. */
function transfer(how: Transfer, file: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, count: number): void => (error === null ? resolve(count) : reject(error));
    if (how === read) read(file, bytes, 0, bytes.length, null, done);
    else write(file, bytes, 0, bytes.length, null, done);
  });
}
