import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

interface Reply {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/**
 * Debian's Chromium without a window, driven by the DevTools protocol over a pipe: no port, and a profile of its own
 * that goes with it.
 */
export class Chromium {
  readonly #profile = mkdtempSync(join(tmpdir(), 'keystead-chromium-'));
  readonly #process: ChildProcess;
  readonly #input: Writable;
  readonly #waiting = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  readonly #ended: Promise<void>;
  #last = 0;
  #said = '';

  constructor() {
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-dev-shm-usage'];
    this.#process = spawn(
      'chromium',
      [...args, `--user-data-dir=${this.#profile}`, '--remote-debugging-pipe', 'about:blank'],
      // Its home is its own, too: it writes there whatever it is told of the profile.
      { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, HOME: this.#profile } },
    );
    this.#input = this.#process.stdio[3] as Writable;
    this.#input.on('error', () => {});
    this.#process.stderr?.on('data', (text: Buffer) => {
      this.#said = `${this.#said}${text.toString()}`.slice(-4000);
    });
    this.#ended = new Promise((resolve) => {
      const end = (why: string): void => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`Chromium ended: ${why}\n${this.#said}`));
        this.#waiting.clear();
        resolve();
      };
      this.#process.once('error', (error) => end(error.message));
      this.#process.once('exit', (code, signal) => end(`${code ?? signal}`));
    });
    this.#listen(this.#process.stdio[4] as Readable);
  }

  #listen(output: Readable): void {
    let pending = Buffer.alloc(0);
    output.on('data', (piece: Buffer) => {
      pending = Buffer.concat([pending, piece]);
      for (let end = pending.indexOf(0); end >= 0; end = pending.indexOf(0)) {
        this.#answered(JSON.parse(pending.subarray(0, end).toString()) as Reply);
        pending = pending.subarray(end + 1);
      }
    });
  }

  #answered({ id, result, error }: Reply): void {
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (id === undefined || waiting === undefined) return;
    this.#waiting.delete(id);
    if (error === undefined) waiting.resolve(result as never);
    else waiting.reject(new Error(error.message));
  }

  /** A command of the protocol and its answer. */
  send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    this.#last += 1;
    const id = this.#last;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** A page at this address, which it has loaded. */
  async open(url: string): Promise<Page> {
    const { targetId } = await this.send<{ targetId: string }>('Target.createTarget', { url });
    const { sessionId } = await this.send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await page.run(
      `new Promise((done) => document.readyState === 'complete' ? done(true) : addEventListener('load', () => done(true)))`,
    );
    return page;
  }

  async close(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

export class Page {
  readonly #browser: Chromium;
  readonly #session: string;

  constructor(browser: Chromium, session: string) {
    this.#browser = browser;
    this.#session = session;
  }

  send<T>(method: string, params: object = {}): Promise<T> {
    return this.#browser.send<T>(method, params, this.#session);
  }

  /** The value of an expression in the page, which may be a promise. */
  async run<T>(expression: string): Promise<T> {
    // WebAuthn answers a page that has the focus, and of several only one has it.
    await this.send('Page.bringToFront');
    const { result, exceptionDetails } = await this.send<{
      result: { value: T };
      exceptionDetails?: { text: string; exception?: { description?: string } };
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (exceptionDetails === undefined) return result.value;
    throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  }
}

/** A server on loopback with one empty page: an origin. */
export async function emptyPage(): Promise<{ origin: string; server: Server }> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end('<!doctype html><title>a page of its own</title>');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { origin: `http://localhost:${(server.address() as AddressInfo).port}`, server };
}
