import { Agent, type ClientRequest, type IncomingHttpHeaders, request } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { KeysteadError } from '@keystead/core/errors';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly contentType?: string;
  readonly body?: Uint8Array;
}

/** No answer that a device waits for is larger. */
const LARGEST_ANSWER = 1024 * 1024;

/** HTTP/1.1 over one connection that was judged already; it never opens another by itself. */
export class HttpOverTls {
  readonly #socket: TLSSocket;
  readonly #host: string;
  readonly #timeoutMs: number;
  readonly #agent: Agent;

  constructor(socket: TLSSocket, host: string, timeoutMs = 10_000) {
    this.#socket = socket;
    this.#host = host;
    this.#timeoutMs = timeoutMs;
    this.#agent = new OneSocketAgent(socket);
  }

  get socket(): TLSSocket {
    return this.#socket;
  }

  /** @throws KeysteadError peer.unreachable when the connection ends before the answer has come. */
  send(wanted: HttpRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void =>
        reject(new KeysteadError('peer.unreachable', { field: wanted.path, seen: cause.message, cause }));
      if (this.#socket.destroyed) return fail(new Error('the connection has ended'));
      const sent: ClientRequest = request(
        {
          agent: this.#agent,
          method: wanted.method,
          path: wanted.path,
          headers: {
            host: this.#host,
            ...(wanted.contentType === undefined ? {} : { 'content-type': wanted.contentType }),
            ...(wanted.body === undefined ? {} : { 'content-length': wanted.body.length }),
          },
          signal: AbortSignal.timeout(this.#timeoutMs),
        },
        (response) => {
          const parts: Buffer[] = [];
          let length = 0;
          response.on('data', (part: Buffer) => {
            length += part.length;
            if (length > LARGEST_ANSWER) response.destroy(new Error('the answer is too large'));
            else parts.push(part);
          });
          response.on('error', fail);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
          );
        },
      );
      sent.on('error', fail);
      sent.end(wanted.body);
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#socket.destroy();
  }
}

class OneSocketAgent extends Agent {
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#socket = socket;
  }

  override createConnection(): Duplex {
    return this.#socket;
  }
}
