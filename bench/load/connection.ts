import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionPlan, LoadPlan } from './plan.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/** An answer's status, and its first part when it is not 200. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * One kept connection that has one request under way at a time. It speaks just enough HTTP/1.1 (answers with a
 * Content-Length) to cost as little as it can beside the server that is measured.
 */
export class Connection {
  readonly #socket: Socket;
  #held: Buffer = NOTHING;
  /** Length of the answer that is being read, head included; 0 before its head is there. */
  #wanted = 0;
  #status = 0;
  #answered: ((answer: Answer) => void) | undefined;
  #broken: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#break(error));
    socket.on('close', () => this.#break(new Error('the server closed the connection')));
  }

  static async open(plan: LoadPlan, own: ConnectionPlan): Promise<Connection> {
    const { host, port, anchor } = plan;
    const socket =
      anchor === undefined
        ? createConnection({ host, port })
        : connectTls({ host, port, servername: host, ca: anchor, ...own.identity });
    await new Promise<void>((resolve, reject) => {
      socket.once(anchor === undefined ? 'connect' : 'secureConnect', resolve);
      socket.once('error', reject);
    });
    return new Connection(socket);
  }

  /** Sends a whole request; resolves once the whole answer is there. */
  send(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#broken = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (this.#wanted === 0) this.#readHead();
    if (this.#wanted === 0 || this.#held.length < this.#wanted) return;
    const answer = { status: this.#status, text: this.#status === 200 ? '' : this.#held.toString('latin1', 0, 600) };
    this.#wanted = 0;
    this.#held = NOTHING;
    this.#answered?.(answer);
  }

  #readHead(): void {
    const end = this.#held.indexOf(HEAD_END);
    if (end < 0) return;
    const head = this.#held.toString('latin1', 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#break(new Error(`an answer without Content-Length: ${head}`));
      return;
    }
    this.#status = Number(head.slice(9, 12));
    this.#wanted = end + HEAD_END.length + Number(length);
  }

  #break(error: Error): void {
    this.#broken?.(error);
    this.#broken = undefined;
    this.#socket.destroy();
  }
}
