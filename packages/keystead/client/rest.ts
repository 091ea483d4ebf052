import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { Pieces } from '@keystead/core/crypto';
import { ERRORS, type ErrorCode, KeysteadError } from '@keystead/core/errors';

export interface RestClientOptions {
  /** For example `https://localhost:8443`. */
  readonly baseUrl: string;
  /** PEM: what the server's certificate must lead to. */
  readonly anchor: string;
  /** PEM: the client's certificate with its intermediate, and its private key (encrypted, with its passphrase). */
  readonly identity?: { readonly cert: string; readonly key: string; readonly passphrase?: string };
  readonly timeoutMs?: number;
  /** A bearer token (RFC 6750), for a workload that has no certificate. */
  readonly token?: string;
}

/** A body that goes out in pieces. */
interface FileBody {
  readonly pieces: Pieces;
  readonly bytes: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** An image is hashed and made durable before the answer. */
const LONG_ANSWER_MS = 600_000;
/** How long the reason is waited for when a body was cut off. */
const AFTER_REFUSAL_MS = 1000;

/** Calls the REST interface over mutual TLS. Failures come back as the KeysteadError that the server had. */
export class RestClient {
  readonly #base: URL;
  readonly #agent: Agent;
  readonly #timeoutMs: number;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: RestClientOptions) {
    this.#base = new URL(options.baseUrl);
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#headers = options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` };
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: 8,
      ca: options.anchor,
      minVersion: 'TLSv1.2',
      cert: options.identity?.cert,
      key: options.identity?.key,
      passphrase: options.identity?.passphrase,
    });
  }

  get<T>(path: string): Promise<T> {
    return this.#call('GET', path, undefined);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#call('POST', path, JSON.stringify(body));
  }

  /**
   * Any answer as it is, with its status: for who goes by what stands in an answer that is a refusal.
   * @throws KeysteadError `service.unreachable`, `service.bad-answer`.
   */
  ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return this.#send(method, path, text).then(({ status, text: answer }) => ({ status, body: parse(answer) }));
  }

  /**
   * Sends a body that may be larger than memory; a refusal ends it where it is. The answer may be late, for what came is
   * made durable first.
   */
  async upload<T>(path: string, pieces: Pieces, bytes: number): Promise<T> {
    const { status, text } = await this.#send('PUT', path, undefined, { pieces, bytes });
    if (status < 300) return parse(text) as T;
    throw fromAnswer(status, text);
  }

  /** A body that may be larger than memory, as it comes. @throws KeysteadError of the server, `service.*`, as the pieces do. */
  async download(path: string): Promise<Pieces> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const from = { agent: this.#agent, timeout: this.#timeoutMs, headers: this.#headers };
      const call = request(new URL(path, this.#base), from, resolve);
      call.on('timeout', () => call.destroy(new Error('no answer in time')));
      call.on('error', (cause) => reject(unreachable(this.#base, cause)));
      call.end();
    });
    if (response.statusCode === 200) return this.#piecesOf(response);
    const text = Buffer.concat(await response.toArray()).toString('utf8');
    throw fromAnswer(response.statusCode ?? 500, text);
  }

  async *#piecesOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      yield* response;
    } catch (cause) {
      throw unreachable(this.#base, cause as Error);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #call<T>(method: string, path: string, body: string | undefined): Promise<T> {
    const { status, text } = await this.#send(method, path, body);
    if (status < 300) return parse(text) as T;
    throw fromAnswer(status, text);
  }

  #send(method: string, path: string, body: string | undefined, file?: FileBody): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let refusal: NodeJS.Timeout | undefined;
      const call = request(
        new URL(path, this.#base),
        {
          method,
          agent: this.#agent,
          timeout: file === undefined ? this.#timeoutMs : LONG_ANSWER_MS,
          headers: { ...this.#headers, ...headersOf(body, file) },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', (cause) => reject(unreachable(this.#base, cause)));
          response.on('end', () => {
            const text = Buffer.concat(parts).toString('utf8');
            clearTimeout(refusal);
            resolve({ status: response.statusCode ?? 500, text });
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer in time')));
      // A refusal may come before the whole body is sent: it has its time, and tells more than the pipe that broke.
      const broken = (cause: Error & { code?: string }): void => {
        // The service hung up on a connection that lay idle, which nobody here had noticed. Where it died under way instead,
        // nothing listens for the next try either: no act is done twice.
        if (call.reusedSocket && cause.code === 'ECONNRESET' && file === undefined) {
          resolve(this.#send(method, path, body));
          return;
        }
        const give = (): void => reject(unreachable(this.#base, cause));
        if (file === undefined) give();
        else refusal ??= setTimeout(give, AFTER_REFUSAL_MS);
      };
      call.on('error', broken);
      if (file === undefined) {
        call.end(body);
        return;
      }
      pipeline(file.pieces, call).catch((cause: Error) => {
        call.destroy();
        broken(cause);
      });
    });
  }
}

function headersOf(body: string | undefined, file: FileBody | undefined): Record<string, string | number> {
  if (file !== undefined) return { 'Content-Type': 'application/octet-stream', 'Content-Length': file.bytes };
  if (body === undefined) return {};
  return { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KeysteadError('service.bad-answer', { seen: text.slice(0, 80), cause });
  }
}

function unreachable(base: URL, cause: Error): KeysteadError {
  return new KeysteadError('service.unreachable', { field: base.origin, seen: cause.message, cause });
}

/** The server's own error, when it sent one; a proxy's page or an unknown code stays what it is. */
function fromAnswer(status: number, text: string): KeysteadError {
  try {
    const { error } = JSON.parse(text) as {
      error: { code: string; message?: string; field?: string; seen?: string; remedy?: string };
    };
    if (error.code in ERRORS) return new KeysteadError(error.code as ErrorCode, error);
  } catch {
    // Not JSON: told below.
  }
  return new KeysteadError('service.bad-answer', { seen: `HTTP ${status}: ${text.slice(0, 120)}` });
}
