import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { firstIssue } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import type { Channel } from './channel.ts';
import type { KeydContext } from './context.ts';
import { acceptPeer, HANDSHAKE_MS } from './handshake.ts';
import { operate } from './operations/index.ts';
import { RequestSchema, toWire } from './protocol.ts';

export interface ServerOptions {
  readonly socketPath: string;
  /** Permission bits of the socket. */
  readonly socketMode: number;
  readonly channelKey: SecretBytes;
  readonly log: Logger;
  /** How long a peer may take to prove itself, milliseconds. */
  readonly handshakeMs?: number;
}

/** serve opens one connection, tools a few. */
const MAX_CONNECTIONS = 32;
/** Requests of one connection that may be under way; then nothing more is read from it until half are done. */
const MAX_UNDER_WAY = 2048;
/**
 * Bytes of requests that may be under way, of all connections together: a request that carries an image's subject is as
 * long as a frame may be. It is overshot by what is read at once, and each connection may hold a part of a frame besides.
 */
const MAX_UNDER_WAY_BYTES = 32 * 1024 * 1024;
/** Bytes of answers that a peer may leave untaken. */
const MAX_BACKLOG = 16 * 1024 * 1024;

/**
 * keyd's socket: lets in who holds the channel key, and answers requests, many at a time, in whatever order they are
 * done. A peer that breaks the framing is cut off; a request that breaks a rule is answered with the rule.
 */
export class KeydServer {
  readonly #keyd: KeydContext;
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #channels = new Set<Channel>();
  readonly #paused = new Set<() => void>();
  #underWay = 0;
  #underWayBytes = 0;
  #stopping = false;
  #idle: () => void = () => {};

  constructor(keyd: KeydContext, options: ServerOptions) {
    this.#keyd = keyd;
    this.#options = options;
    this.#server = createServer({ pauseOnConnect: false }, (socket) => this.#welcome(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Listens. The caller holds the sole right to the directory, so a socket that is there already is a dead one's.
   * @throws Error of node:net.
   */
  async listen(): Promise<void> {
    const { socketPath, socketMode } = this.#options;
    rmSync(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, resolve);
    });
    chmodSync(socketPath, socketMode);
  }

  /** Takes no more requests, lets those under way be answered, and closes. */
  async drain(): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    for (const channel of this.#channels) channel.end();
    // A peer that does not close its end, or never proved itself, is not waited for.
    const force = setTimeout(() => this.#destroyAll(), 500);
    await closed;
    clearTimeout(force);
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #welcome(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const { channelKey, log, handshakeMs } = this.#options;
    let channel: Channel;
    try {
      channel = await acceptPeer(socket, channelKey, handshakeMs ?? HANDSHAKE_MS);
    } catch (error) {
      log.warn({ error: error instanceof KeysteadError ? error.toJSON() : String(error) }, 'a peer was not let in');
      return;
    }
    this.#serve(channel);
  }

  #serve(channel: Channel): void {
    const { log } = this.#options;
    let mine = 0;
    let paused = false;
    const weigh = (): void => {
      const full = mine >= MAX_UNDER_WAY || channel.backlog > MAX_BACKLOG || this.#underWayBytes >= MAX_UNDER_WAY_BYTES;
      const bytesLeft = this.#underWayBytes <= MAX_UNDER_WAY_BYTES / 2;
      if (full && !paused) {
        paused = true;
        this.#paused.add(weigh);
        channel.pause();
        if (channel.backlog > 0) channel.onDrain(weigh);
      } else if (paused && bytesLeft && mine <= MAX_UNDER_WAY / 2 && channel.backlog <= MAX_BACKLOG / 2) {
        paused = false;
        this.#paused.delete(weigh);
        channel.resume();
      }
    };
    this.#channels.add(channel);
    channel.open({
      message: (text) => {
        mine += 1;
        this.#underWay += 1;
        this.#underWayBytes += text.length;
        this.#answer(text, channel).finally(() => {
          mine -= 1;
          this.#underWay -= 1;
          this.#underWayBytes -= text.length;
          weigh();
          // Those that wait for the bytes of this one.
          for (const other of [...this.#paused]) other();
          if (this.#underWay === 0) this.#idle();
        });
        weigh();
      },
      closed: (why) => {
        this.#channels.delete(channel);
        this.#paused.delete(weigh);
        if (why !== undefined) log.warn({ error: why.toJSON() }, 'a connection was cut off');
      },
    });
  }

  async #answer(text: string, channel: Channel): Promise<void> {
    let id: number | undefined;
    let op: string | undefined;
    let requestId: unknown;
    try {
      const value = jsonOf(text);
      id = idOf(value);
      const parsed = RequestSchema.safeParse(value);
      if (!parsed.success) throw new KeysteadError('request.malformed', firstIssue(parsed.error, 'request'));
      op = parsed.data.op;
      requestId = memberOf(parsed.data.params, 'requestId');
      if (this.#stopping) throw new KeysteadError('keyd.stopping');
      channel.send(toWire({ id, ok: await operate(this.#keyd, parsed.data.op, parsed.data.params) }));
    } catch (thrown) {
      const error = this.#errorOf(thrown, op, requestId);
      // Without an id nobody could be told.
      if (id === undefined) channel.destroy();
      else channel.send(toWire({ id, error }));
    }
  }

  #errorOf(thrown: unknown, op: string | undefined, requestId: unknown): KeysteadError {
    const { log } = this.#options;
    if (thrown instanceof KeysteadError) {
      log.info({ op, requestId, error: thrown.toJSON() }, 'refused');
      return thrown;
    }
    log.error({ op, requestId, err: thrown }, 'unexpected failure');
    return new KeysteadError('internal.unexpected', { field: op });
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeysteadError('request.malformed', { field: 'request', seen: 'something that is not JSON' });
  }
}

function idOf(value: unknown): number | undefined {
  const id = memberOf(value, 'id');
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}

const memberOf = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
