import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PACKAGING = fileURLToPath(new URL('../../packaging', import.meta.url));
const BIN = fileURLToPath(new URL('../../packages/keystead/bin/keystead.mjs', import.meta.url));

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

/** Waits until `done` holds; how long the machine takes for it is no matter of the test. */
export async function until(what: string, done: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await done())) {
    assert.ok(Date.now() < end, `${what}: not within a minute`);
    await pause(100);
  }
}

/** A program of the test's own, ended by its pid. */
export class Program {
  readonly #child: ChildProcess;
  #output = '';

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (part: Buffer) => {
        this.#output += part.toString();
      });
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child.pid ?? assert.fail(`it did not start: ${this.#output}`);
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.ended) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exit;
  }
}

/** The files that packaging/nginx and packaging/mosquitto name, in a directory of the test instead of /etc. */
export class RelyingSide {
  readonly dir: string;
  readonly #programs: Program[] = [];

  constructor(folder: string) {
    this.dir = folder;
    // nginx and mosquitto, started by root, read these as users of their own.
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    chmodSync(folder, 0o711);
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  write(name: string, text: string): string {
    writeFileSync(this.path(name), text, { mode: 0o644 });
    return this.path(name);
  }

  /** A packaged configuration with this directory and these values in the place of its own. */
  packaged(file: string, values: readonly (readonly [from: string, to: string])[] = []): string {
    let text = readFileSync(join(PACKAGING, file), 'utf8').replaceAll('/etc/keystead/relying', this.dir);
    for (const [from, to] of values) {
      assert.ok(text.includes(from), `${file} has ${from}`);
      text = text.replaceAll(from, to);
    }
    return text;
  }

  start(command: string, ...args: string[]): Program {
    const program = new Program(command, args);
    this.#programs.push(program);
    return program;
  }

  /** nginx in the foreground with the packaged server on `port`. */
  nginx(port: number, values: readonly (readonly [from: string, to: string])[], name = 'nginx'): Program {
    const listen = ['listen 8444', `listen 127.0.0.1:${port}`] as const;
    const server = this.write(`${name}-server.conf`, this.packaged('nginx/keystead-devices.conf', [listen, ...values]));
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${this.path(`${name}-${kind}`)};`,
    );
    const main = [
      'daemon off;',
      `pid ${this.path(`${name}.pid`)};`,
      'error_log stderr;',
      'worker_processes 1;',
      'worker_shutdown_timeout 10s;',
      'events {}',
      'http {',
      'access_log off;',
      ...temporary,
      `include ${server};`,
      '}',
    ];
    return this.start('/usr/sbin/nginx', '-p', this.dir, '-c', this.write(`${name}.conf`, `${main.join('\n')}\n`));
  }

  /** mosquitto in the foreground with the packaged listener on `port`. */
  mosquitto(port: number, name = 'mosquitto', values: readonly (readonly [from: string, to: string])[] = []): Program {
    this.write('mosquitto.acl', this.packaged('mosquitto/keystead-devices.acl'));
    const file = this.write(
      `${name}.conf`,
      this.packaged('mosquitto/keystead-devices.conf', [['listener 8883', `listener ${port} 127.0.0.1`], ...values]),
    );
    return this.start('/usr/sbin/mosquitto', '-c', file);
  }

  /** `keystead crl sync` for good, once a second. */
  sync(urls: readonly string[], reload: string): Program {
    const asked = urls.flatMap((url) => ['--url', url]);
    const files = ['--ca', this.path('device-cas.pem'), '--out', this.path('crls.pem')];
    return this.start(process.execPath, BIN, 'crl', 'sync', ...files, ...asked, '--reload', reload, '--every', '1');
  }

  async stop(): Promise<void> {
    for (const program of this.#programs.reverse()) await program.stop();
  }
}
