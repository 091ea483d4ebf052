import { createConnection } from 'node:net';
import type { SecretBytes } from '@keystead/core/crypto';
import { ERRORS, type ErrorCode, KeysteadError } from '@keystead/core/errors';
import type { Channel } from '../keyd/channel.ts';
import { greetPeer, HANDSHAKE_MS } from '../keyd/handshake.ts';
import { AnswerSchema, OPERATIONS, type OperationName, type Params, type Result, toWire } from '../keyd/protocol.ts';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: KeysteadError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One authenticated connection to keyd, made again when it has ended: requests go out at once, many at a time, and each
 * answer finds whoever waits for it by its number.
 */
export class KeydConnection {
  readonly #path: string;
  readonly #key: SecretBytes;
  readonly #waiting = new Map<number, Waiting>();
  #channel: Promise<Channel> | undefined;
  #closed = false;
  #next = 1;

  /** @param key stays with the connection, which wipes it in `close()`. */
  constructor(path: string, key: SecretBytes) {
    this.#path = path;
    this.#key = key;
  }

  /** Ends the connection and wipes the channel key. What still waits fails. */
  close(): void {
    this.#closed = true;
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.then(
      (open) => open.destroy(),
      () => {},
    );
    this.#failAll(unreachable('a client that was closed'));
    this.#key.wipe();
  }

  /** Sends a request and waits for its answer. @throws KeysteadError as keyd refused it; `keyd.unreachable`, `keyd.bad-answer`. */
  async call<Op extends OperationName>(op: Op, params: Params<Op>, timeoutMs: number): Promise<Result<Op>> {
    const channel = await this.connected();
    const id = this.#next;
    this.#next += 1;
    const answered = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(unreachable(`no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
    });
    try {
      channel.send(toWire({ id, op, params }));
    } catch (error) {
      this.#settle(id)?.reject(error instanceof KeysteadError ? error : unreachable('a request that was not sent'));
    }
    const parsed = OPERATIONS[op].result.safeParse(await answered);
    if (parsed.success) return parsed.data as Result<Op>;
    throw new KeysteadError('keyd.bad-answer', {
      field: parsed.error.issues[0]?.path.join('.'),
      seen: parsed.error.issues[0]?.message,
      cause: parsed.error,
    });
  }

  /** The channel; opened anew where the last one has ended. @throws KeysteadError `keyd.unreachable`, `keyd.unauthenticated`. */
  connected(): Promise<Channel> {
    if (this.#closed) return Promise.reject(unreachable('a client that was closed'));
    if (this.#channel === undefined) {
      const opening = this.#open();
      this.#channel = opening;
      opening.catch(() => {
        if (this.#channel === opening) this.#channel = undefined;
      });
    }
    return this.#channel;
  }

  async #open(): Promise<Channel> {
    const socket = createConnection(this.#path);
    const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), HANDSHAKE_MS);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
    } catch (cause) {
      throw unreachable(cause instanceof Error ? cause.message : 'no connection', cause);
    } finally {
      clearTimeout(timer);
    }
    const channel = await greetPeer(socket, this.#key);
    if (this.#closed) {
      socket.destroy();
      throw unreachable('a client that was closed');
    }
    const opening = this.#channel;
    channel.open({
      message: (text) => this.#answer(text),
      closed: () => {
        if (this.#channel === opening) this.#channel = undefined;
        this.#failAll(unreachable('a connection that ended'));
      },
    });
    return channel;
  }

  #answer(text: string): void {
    const parsed = AnswerSchema.parse(JSON.parse(text));
    const waiting = this.#settle(parsed.id);
    if (waiting === undefined) return;
    if ('error' in parsed) waiting.reject(errorOf(parsed.error));
    else waiting.resolve(parsed.ok);
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      clearTimeout(waiting.timer);
      this.#waiting.delete(id);
    }
    return waiting;
  }

  #failAll(error: KeysteadError): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(error);
  }
}

const unreachable = (seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('keyd.unreachable', { field: 'keyd', seen, cause });

function errorOf(sent: {
  code: string;
  message: string;
  field?: string;
  seen?: string;
  remedy?: string;
}): KeysteadError {
  const { field, seen, remedy } = sent;
  if (sent.code in ERRORS) return new KeysteadError(sent.code as ErrorCode, { field, seen, remedy });
  return new KeysteadError('keyd.bad-answer', { field, seen: `${sent.code}: ${sent.message}` });
}
