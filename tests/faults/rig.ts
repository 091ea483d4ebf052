import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeKeyAndCsr } from '@keystead/agent';
import { toBase64, toPem } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import type { AuditEntry } from 'keystead/audit/index.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { launchKeyd, launchServe } from 'keystead/start/launch.ts';
import { Narrator } from 'keystead/start/narrator.ts';
import { certPath, enrolPeople, keyPath } from 'keystead/start/operators.ts';
import type { Service } from 'keystead/start/process.ts';
import { ceremony } from 'keystead/start/steps/1-ceremony.ts';
import { openTicket } from 'keystead/start/ticket.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { World } from 'keystead/start/world.ts';
import { type Answer, type Ask, askServer, certificateOf, type Identity } from './https.ts';
import { type Records, readRecords } from './records.ts';

class Silent extends Narrator {
  override line(): void {}
}

export interface RigOptions {
  readonly ldevidSeconds?: number;
  readonly folder?: string;
  /** When keyd is up, and serve was never started. */
  readonly beforeServe?: (rig: Rig) => Promise<void>;
}

export type ServiceName = 'keyd' | 'serve';

/** Ports that no other test file takes, below those that the kernel gives to outgoing connections. */
const firstPort = 12_000 + (process.pid % 5_000) * 4;

/**
 * keyd and serve as real processes, each of which a test can kill and start again, with the people and tickets of a
 * deployment. The channel key stays the same, so that one of the two can come back to the other.
 */
export class Rig {
  readonly world: World;
  readonly folder: string;
  readonly #channelKey = SecretBytes.random(32).use(toBase64);
  readonly #services = new Map<ServiceName, { service: Service; ended: Promise<string> }>();
  readonly #people = new Map<string, Identity>();
  #tryTicket = false;

  private constructor(folder: string, world: World) {
    this.folder = folder;
    this.world = world;
  }

  /** The ceremony, and everything started. `folder` is the place for it all; a new one unless told. */
  static async make(options: RigOptions = {}): Promise<Rig> {
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'keystead-faults-'));
    // A temporary folder is closed to others; what stands in it is for more than one user.
    chmodSync(folder, 0o711);
    const layout = new Layout(join(folder, 'data'));
    mkdirSync(layout.data, { recursive: true, mode: 0o700 });
    const ports = { https: firstPort, http: firstPort + 1, backend: firstPort + 2 };
    const world = new World({
      layout,
      clock: systemClock,
      narrator: new Silent(),
      config: await openConfig(layout, systemClock, options.ldevidSeconds ?? 3600, ports),
      passphrases: {
        keyd: await unlock(layout, 'keyd'),
        operators: await unlock(layout, 'operators'),
        devices: await unlock(layout, 'devices'),
      },
    });
    // Where compiled code is kept for the next start, once it is there: see {@link Rig.keepCompiled}.
    process.env.NODE_COMPILE_CACHE ??= join(folder, 'compiled');
    await ceremony(world);
    const rig = new Rig(folder, world);
    await rig.start('keyd');
    await options.beforeServe?.(rig);
    await rig.start('serve');
    await enrolPeople(layout, world.httpsUrl, world.rootPem, world.passphrases.operators);
    return rig;
  }

  get layout(): Layout {
    return this.world.layout;
  }

  /**
   * Has the services' code compiled once for all starts to come: a torture starts them a hundred times. They do not keep it
   * themselves: a kill leaves no time to, and as users of their own they may not write where it is.
   */
  keepCompiled(): void {
    const load = ['cli/main', 'keyd/main', 'serve/main'].map((name) => `await import('keystead/${name}.ts');`);
    const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module'];
    execFileSync(process.execPath, [...flags, '--eval', load.join('\n')], { stdio: 'ignore' });
  }

  /** Starts a service; resolves when it is ready. @throws KeysteadError `service.did-not-start`. */
  async start(name: ServiceName): Promise<void> {
    this.launch(name);
    await this.ready(name);
  }

  /** Starts a service beside the one that runs. @throws KeysteadError `service.did-not-start`. */
  async secondStart(name: ServiceName): Promise<void> {
    const first = this.#services.get(name);
    this.launch(name);
    try {
      await this.ready(name);
      await this.kill(name);
    } finally {
      if (first !== undefined) this.#services.set(name, first);
    }
  }

  /** Starts a service and does not wait for it. */
  launch(name: ServiceName): void {
    let tell: (how: string) => void = () => {};
    const ended = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const passphrase = readFileSync(this.layout.passphrase('keyd'), 'utf8').trim();
    const options = { channelKey: this.#channelKey, onExit: tell };
    const service =
      name === 'keyd' ? launchKeyd(this.layout, { ...options, passphrase }) : launchServe(this.layout, options);
    this.#services.set(name, { service, ended });
  }

  async ready(name: ServiceName): Promise<void> {
    await this.#services.get(name)?.service.ready;
  }

  /** A start after an end in good order. */
  async restart(name: ServiceName): Promise<void> {
    await this.stop(name);
    await this.start(name);
  }

  /** kill -9, and waits until the kernel has taken the process away. @returns how it ended. */
  async kill(...names: ServiceName[]): Promise<void> {
    const running = names.flatMap((name) => this.#services.get(name) ?? []);
    for (const { service } of running) if (service.pid !== undefined) process.kill(service.pid, 'SIGKILL');
    await Promise.all(running.map(({ ended }) => ended));
    for (const name of names) this.#services.delete(name);
  }

  /** The process of a service, while it runs. */
  pid(name: ServiceName): number | undefined {
    return this.#services.get(name)?.service.pid;
  }

  /** Waits until a service has ended by itself, or by a signal. @returns how. */
  async ended(name: ServiceName): Promise<string | undefined> {
    const how = await this.#services.get(name)?.ended;
    this.#services.delete(name);
    return how;
  }

  /** Ends a service in good order. */
  async stop(name: ServiceName): Promise<void> {
    await this.#services.get(name)?.service.stop();
    this.#services.delete(name);
  }

  async remove(): Promise<void> {
    await this.stop('serve');
    await this.stop('keyd');
    await this.world.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Any request to the HTTPS side, on a connection of its own; rejects when the connection does. */
  https(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    return askServer(new URL(path, this.world.httpsUrl), this.world.rootPem, method, ask);
  }

  /** An EST request with a DER request in its body. */
  est(operation: 'simpleenroll' | 'simplereenroll', identity: Identity | undefined, csr: Uint8Array): Promise<Answer> {
    const path = `/.well-known/est/${operation}`;
    return this.https('POST', path, { identity, body: toBase64(csr), type: 'application/pkcs10' });
  }

  /** A REST request with a JSON body. */
  rest(method: string, path: string, identity: Identity | undefined, body?: unknown): Promise<Answer> {
    if (body === undefined) return this.https(method, `/api/v1${path}`, { identity });
    const text = JSON.stringify(body);
    return this.https(method, `/api/v1${path}`, { identity, body: text, type: 'application/json' });
  }

  /** One of the people. The key is opened once: its passphrase costs a quarter of a second on purpose. */
  person(name: string): Identity {
    const known = this.#people.get(name);
    if (known !== undefined) return known;
    const passphrase = readFileSync(this.layout.passphrase('operators'), 'utf8').trim();
    const key = createPrivateKey({ key: readFileSync(keyPath(this.layout, name), 'utf8'), passphrase });
    const cert = readFileSync(certPath(this.layout, name), 'utf8');
    const person = { cert, key: key.export({ format: 'pem', type: 'pkcs8' }).toString() };
    this.#people.set(name, person);
    return person;
  }

  /** Opens a batch with the ids `<prefix>0001` and up. */
  async batch(id: string, quota: number, prefix: string, to = quota): Promise<void> {
    await openTicket(this.world, {
      id,
      model: 'KS-PUMP-1',
      quota,
      line: 'line-1',
      deviceIds: { prefix, from: 1, to, width: 4 },
    });
  }

  /** A device with its IDevID, by a batch with room. */
  async device(id: string): Promise<Identity> {
    if (!this.#tryTicket) await this.batch('batch-devices', 100, 'DEV-');
    this.#tryTicket = true;
    const { key, csr } = await newKey(id);
    const answer = await this.unit('batch-devices', id, csr);
    assert.equal(answer.status, 200, answer.text);
    return { key, cert: JSON.parse(answer.text).certificate };
  }

  /** What the station at line 1 does with one unit. */
  unit(ticketId: string, deviceId: string, csr: Uint8Array): Promise<Answer> {
    const body = { ticketId, deviceId, csr: toPem('CERTIFICATE REQUEST', csr), line: 'line-1' };
    return this.rest('POST', '/units', this.person('line-1'), body);
  }

  /** An LDevID for a device that shows its IDevID. */
  async ldevid(id: string, idevid: Identity): Promise<Identity> {
    const { key, csr } = await newKey(id);
    const answer = await this.est('simpleenroll', idevid, csr);
    assert.equal(answer.status, 200, answer.text);
    return { key, cert: toPem('CERTIFICATE', certificateOf(answer)) };
  }

  /** Rows of the database, read beside the running service, all of the same moment. */
  records(): Records {
    return readRecords(this.layout);
  }

  /** Every audit entry of one request, by the id that the answer carried. */
  audited(answer: Answer): AuditEntry[] {
    const id = answer.headers['x-request-id'];
    return this.records().entries.filter((entry) => entry.requestId === id);
  }
}

/** A new key of a device, PEM, with a request for it. */
export async function newKey(deviceId: string): Promise<{ key: string; csr: Uint8Array; scalar: Uint8Array }> {
  const { pkcs8, csr } = await makeKeyAndCsr(deviceId, 'P-256');
  const key = pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes));
  const scalar = pkcs8.use((bytes) => Uint8Array.from(bytes));
  pkcs8.wipe();
  return { key, csr, scalar };
}
