import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fromPem, toPem } from '@keystead/core/bytes';
import { certSha256, SecretBytes } from '@keystead/core/crypto';
import { signTicket } from '@keystead/core/lifecycle';
import { systemClock } from 'keystead/clock/system.ts';
import { type Config, openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { importCommission } from 'keystead/keyd/factory/import.ts';
import { factoryRequestPath } from 'keystead/keyd/factory/init.ts';
import { personSigner } from 'keystead/start/operators.ts';
import { Service } from 'keystead/start/process.ts';
import { type Answer, type Ask, askServer } from '../faults/https.ts';
import type { Rig } from '../faults/rig.ts';
import { keystead } from '../interop/foreign.ts';

const PASSPHRASE = 'the passphrase of the node';
/** Ports of the node, below those that the kernel gives to outgoing connections and above those of a deployment. */
const firstPort = 32_000 + (process.pid % 190) * 4;

export type NodeService = 'keyd' | 'serve';

/** A row of the records that is told of on both sides. */
export interface UnitRow {
  readonly device: string;
  readonly serial: string;
  readonly spki: string;
  readonly ticket: string;
}

/** A token that holds the keys of the node, and the counter of its units. */
export interface NodeToken {
  /** Path of its PKCS#11 module. */
  readonly module: string;
  readonly label: string;
  readonly pin: string;
  /** What the counter is called on it. */
  readonly counter: string;
}

/** A factory node in processes of its own, commissioned by a headquarters in others, each of which a test can kill. */
export class FactoryLine {
  readonly name: string;
  readonly hq: Rig;
  readonly folder = mkdtempSync(join(tmpdir(), 'keystead-line-'));
  readonly layout = new Layout(join(this.folder, 'data'));
  readonly #channelKey = SecretBytes.random(32).use((key) => Buffer.from(key).toString('base64'));
  readonly #services = new Map<NodeService, { service: Service; ended: Promise<string> }>();
  readonly #token: NodeToken | undefined;
  /** The tickets that were signed, by their id. */
  readonly #tickets = new Map<string, string>();
  #config: Config | undefined;

  private constructor(hq: Rig, name: string, token: NodeToken | undefined) {
    this.hq = hq;
    this.name = name;
    this.#token = token;
  }

  /** The people are those of headquarters, with the same keys. */
  get world(): Rig['world'] {
    return this.hq.world;
  }

  /**
   * @param headquarters where the node finds headquarters.
   * @param token where its keys and its counter live; a sealed file and no counter unless told.
   */
  static async found(hq: Rig, name: string, headquarters: string, token?: NodeToken): Promise<FactoryLine> {
    const line = new FactoryLine(hq, name, token);
    chmodSync(line.folder, 0o711);
    mkdirSync(line.layout.data, { recursive: true, mode: 0o700 });
    const ports = { https: firstPort, http: firstPort + 1, backend: firstPort + 2 };
    const config = await openConfig(line.layout, systemClock, 3600, ports);
    writeFileSync(line.layout.config, JSON.stringify({ ...config, headquarters }));
    line.#config = config;
    await line.#makeKeys();
    await line.#commission();
    await line.start('keyd');
    await line.start('serve');
    return line;
  }

  get #secret(): string {
    return this.#token?.pin ?? PASSPHRASE;
  }

  /** As docs/factory.md and docs/tickets.md tell the person in front of the machine. */
  async #makeKeys(): Promise<void> {
    const unlock = join(this.folder, 'pin');
    writeFileSync(unlock, this.#secret, { mode: 0o600 });
    const at = ['--data', this.layout.data, '--passphrase-file', unlock];
    const run = async (...args: string[]) => {
      const done = await keystead([...args, ...at]);
      assert.equal(done.status, 0, done.stdout + done.stderr);
    };
    if (this.#token === undefined) return run('factory', 'init', '--name', this.name);
    const { module, label, counter } = this.#token;
    await run('keystore', 'init', '--module', module, '--token-label', label);
    await run('factory', 'init', '--name', this.name, '--counter', 'pkcs11');
    await run('keystore', 'counter', 'init', '--token', counter);
  }

  async #commission(): Promise<void> {
    const [request, order, file] = [
      factoryRequestPath(this.layout),
      join(this.folder, 'order'),
      join(this.folder, 'commission'),
    ];
    const said = [
      '--device-ids',
      'L1-',
      '--server-name',
      'localhost',
      '--server-name',
      '127.0.0.1',
      '--server-name',
      '::1',
      '--life',
      '30d',
    ];
    await this.hqCommand('order', this.name, ...said, '--request', request, '--out', order);
    await this.hqCommand('approve', order, '--as', 'architect');
    await this.hqCommand('commission', order, '--request', request, '--out', file);
    const [root] = fromPem('CERTIFICATE', this.hq.world.rootPem);
    assert.ok(root);
    await importCommission(this.layout, systemClock, {
      file: readFileSync(file),
      rootSha256: certSha256(root as Parameters<typeof certSha256>[0]),
      passphrase: async () => SecretBytes.take(new TextEncoder().encode(this.#secret)),
    });
  }

  /** `keystead factory` at headquarters. */
  async hqCommand(...args: string[]): Promise<string> {
    const done = await keystead(['factory', ...args, '--data', this.hq.layout.data]);
    assert.equal(done.status, 0, done.stdout + done.stderr);
    return done.stdout;
  }

  launch(name: NodeService): void {
    let tell: (how: string) => void = () => {};
    const ended = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const secrets = { channelKey: this.#channelKey, ...(name === 'keyd' ? { passphrase: this.#secret } : {}) };
    const service = new Service({
      name,
      args: [name, '--data', this.layout.data, '--secrets-fd', '3', '--with-parent'],
      secrets,
      logFile: join(this.folder, `${name}.log`),
      onExit: tell,
    });
    this.#services.set(name, { service, ended });
  }

  async start(name: NodeService): Promise<void> {
    this.launch(name);
    await this.#services.get(name)?.service.ready;
  }

  async kill(name: NodeService): Promise<void> {
    const running = this.#services.get(name);
    if (running?.service.pid !== undefined) process.kill(running.service.pid, 'SIGKILL');
    await running?.ended;
    this.#services.delete(name);
  }

  async stop(name: NodeService): Promise<void> {
    await this.#services.get(name)?.service.stop();
    this.#services.delete(name);
  }

  async remove(): Promise<void> {
    await this.stop('serve');
    await this.stop('keyd');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Any request to the node, on a connection of its own. */
  https(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    const url = new URL(path, `https://localhost:${this.#config?.ports.https}`);
    return askServer(url, this.hq.world.rootPem, method, ask);
  }

  /** A request to the node by one of headquarters' people. */
  ask(method: string, path: string, person: string, body?: unknown): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent = text === undefined ? {} : { body: text, type: 'application/json' };
    return this.https(method, `/api/v1${path}`, { identity: this.hq.person(person), ...sent });
  }

  /**
   * Opens a batch of this factory with ids `L1-<tag>0001` and up. Asked again it sends the very same ticket: a second one of
   * that id is refused, and whether the first was taken is not known where its answer was lost.
   */
  async batch(id: string, quota: number, tag: string, to: number): Promise<void> {
    const ticket = this.#tickets.get(id) ?? (await this.#ticket(id, quota, tag, to));
    this.#tickets.set(id, ticket);
    const answer = await this.ask('POST', '/batches', 'pki', { ticket });
    assert.equal(answer.status, 200, answer.text);
  }

  #ticket(id: string, quota: number, tag: string, to: number): Promise<string> {
    const now = Date.now();
    const signer = personSigner(this.hq.layout, 'pki', this.hq.world.passphrases.operators);
    return signTicket(
      {
        ...{ id, model: 'KS-PUMP-1', quota, lines: ['line-1'], profile: 'idevid', factory: this.name },
        notBefore: new Date(now - 60_000).toISOString(),
        notAfter: new Date(now + 86_400_000).toISOString(),
        deviceIds: { prefix: `L1-${tag}`, from: 1, to, width: 4 },
      },
      'pki',
      signer,
    );
  }

  /** What a rig asks for one unit. */
  unit(ticketId: string, deviceId: string, csr: Uint8Array): Promise<Answer> {
    return this.ask('POST', '/units', 'line-1', {
      ...{ ticketId, deviceId, line: 'line-1' },
      csr: toPem('CERTIFICATE REQUEST', csr),
    });
  }

  /** Consignments that wait for their receipt, once keyd has told of everything. */
  async waiting(): Promise<{ made: number; settled: number; waiting: number; units: number }> {
    const answer = await this.ask('GET', '/factory/outbox', 'line-1');
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text).progress;
  }
}

/** The units in a database, read beside the running service. */
export function unitsIn(layout: Layout): UnitRow[] {
  const database = new DatabaseSync(layout.database, { readOnly: true, timeout: 5000 });
  try {
    return database
      .prepare(
        `select r.device_id as device, hex(r.serial) as serial, hex(c.spki_sha256) as spki, r.ticket_id as ticket
         from provisioning_record r join certificate c on c.serial = r.serial and c.issuer = r.issuer
         order by r.device_id`,
      )
      .all()
      .map((row) => ({
        device: String(row.device),
        serial: String(row.serial),
        spki: String(row.spki),
        ticket: String(row.ticket),
      }));
  } finally {
    database.close();
  }
}
