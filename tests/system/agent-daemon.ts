import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fromBase64, toPem } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { type Bench, ok } from '../interop/foreign.ts';

const AGENT = fileURLToPath(new URL('../../packages/agent/daemon/main.ts', import.meta.url));

/** A port of the test's own that the device's application talks to. */
export interface Tunnel {
  readonly socket: string;
  readonly port: number;
}

export interface DaemonOptions {
  /** What `keystead trust show --factory` printed. */
  readonly factory: string;
  readonly tunnels?: readonly Tunnel[];
  /** Members of the configuration besides. */
  readonly config?: Readonly<Record<string, unknown>>;
}

type Event = Readonly<Record<string, unknown>>;

/** A device with `keystead-agent`, its daemon in a process of its own, provisioned by the station of a bench. */
export class AgentDaemon {
  readonly id: string;
  readonly #config: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #seen: Event[] = [];
  #said: string[] = [];
  #ended = true;
  #more: () => void = () => undefined;

  private constructor(id: string, config: string, folder: string) {
    this.id = id;
    this.#config = config;
    this.#folder = folder;
  }

  /** Makes the device as its maker would: configuration, key, IDevID. The daemon does not run yet. */
  static async make(bench: Bench, id: string, options: DaemonOptions): Promise<AgentDaemon> {
    const folder = bench.path(id);
    mkdirSync(folder, { mode: 0o700 });
    const write = (name: string, content: string | Uint8Array): string => {
      writeFileSync(join(folder, name), content);
      return name;
    };
    chmodSync(join(folder, write('secret', randomBytes(32))), 0o600);
    write('root.pem', readFileSync(bench.root));
    const { fleet, signers } = JSON.parse(options.factory) as {
      fleet: string;
      signers: { spki: string; from: number; until: number }[];
    };
    const { httpsUrl, httpUrl } = bench.deployment.world;
    const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
    const config = {
      ...{ deviceId: id, state: 'state', run: 'run', anchors: 'root.pem' },
      key: { store: 'sealed', secretFile: 'secret' },
      server: { est: httpsUrl, trust: httpUrl },
      fleet: {
        name: fleet,
        signers: signers.map(({ spki, from, until }, index) => ({
          key: write(`signer-${index}.pem`, toPem('PUBLIC KEY', fromBase64(spki))),
          ...{ from: time(from), until: time(until) },
        })),
      },
      bundleEverySeconds: 1,
      tunnels: (options.tunnels ?? []).map((one) => ({ kind: 'to-server', host: 'localhost', ...one })),
      ...options.config,
    };
    const made = new AgentDaemon(id, join(folder, write('agent.json', JSON.stringify(config))), folder);
    const unit = await bench.provisionRequest(id, await made.command('request'), 'none');
    const chain = readFileSync(unit.certificate, 'utf8') + readFileSync(bench.ca('manufacturing'), 'utf8');
    await made.command('install', '--certificate', join(folder, write('idevid.pem', chain)));
    return made;
  }

  /** Runs `keystead-agent` once. */
  command(...args: string[]): Promise<string> {
    return ok(process.execPath, [AGENT, ...args, '--config', this.#config]);
  }

  /** Changes members of the configuration, as an update of the device's firmware does; for the next start. */
  configure(members: Readonly<Record<string, unknown>>): void {
    const before = JSON.parse(readFileSync(this.#config, 'utf8')) as Record<string, unknown>;
    writeFileSync(this.#config, JSON.stringify({ ...before, ...members }));
  }

  start(): void {
    const child = spawn(process.execPath, [AGENT, 'run', '--config', this.#config], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#ended = false;
    this.#seen = [];
    this.#said = [];
    child.stderr?.on('data', (text: Buffer) => this.#said.push(text.toString()));
    createInterface({ input: child.stdout ?? assert.fail('no output') }).on('line', (line) => {
      this.#said.push(line);
      this.#seen.push(JSON.parse(line) as Event);
      this.#more();
    });
    child.once('close', () => {
      this.#ended = true;
      this.#more();
    });
  }

  /** The next event of a type that was not asked for yet; fails when the daemon ends before. */
  async event(type: string): Promise<Event> {
    for (;;) {
      const at = this.#seen.findIndex((one) => one.type === type);
      const [found] = at < 0 ? [] : this.#seen.splice(at, 1);
      if (found !== undefined) return found;
      if (this.#ended) assert.fail(`no ${type} before the end:\n${this.#said.join('\n')}`);
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
  }

  /** Events of a type that have come and were not asked for yet are forgotten. */
  forget(type: string): void {
    this.#seen = this.#seen.filter((one) => one.type !== type);
  }

  /** Asks for `path` through a tunnel; the answer's body. Rejects when the tunnel ends without one. */
  ask(socket: string, path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      request({ socketPath: join(this.#folder, 'run', `${socket}.sock`), path, agent: false }, (answer) => {
        let text = '';
        answer.on('data', (part: Buffer) => {
          text += part.toString();
        });
        answer.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || this.#ended) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await gone, [0, null]);
  }

  kill(): void {
    if (!this.#ended) this.#child?.kill('SIGKILL');
  }
}
