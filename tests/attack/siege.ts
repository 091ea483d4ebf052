import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { toBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import type { DemoPolicyOptions } from '@keystead/core/lifecycle';
import { greetPeer } from 'keystead/keyd/handshake.ts';
import { readJournal } from 'keystead/keyd/read-journal.ts';
import { keydSocketPath } from 'keystead/keyd/socket-path.ts';
import { HostileFrontEnd, KEYD_PASSPHRASE, KeydBed, type RawAnswer } from 'keystead/keyd/tests/bed.ts';
import { KeydClient, type Result } from 'keystead/keyd-client/index.ts';
import { launchKeyd } from 'keystead/start/launch.ts';
import type { Service } from 'keystead/start/process.ts';

/** What keyd signed for the attacker, with the moments at which it was asked and answered: numbers that only go up. */
export interface Signed {
  readonly op: string;
  readonly params: Record<string, unknown>;
  readonly ok: Record<string, unknown>;
  readonly asked: number;
  readonly answered: number;
}

/** Operations whose results carry a signature. */
const SIGNING = new Set([
  'issue',
  'issueServerKey',
  'provision',
  'makeUnitKey',
  'deriveUnitKey',
  'signOcsp',
  'signCrl',
  'signRootCrl',
  'signFirmware',
  'signTrustBundle',
  'signCheckpoint',
  'signEvidence',
  'signTimestamp',
  'signTufStatus',
]);

/** keyd as a process of its own, on the machine's clock, before a front end that was taken over and holds the key. */
export class Siege {
  readonly bed: KeydBed;
  readonly trust: Result<'trust'>;
  /** Everything that keyd signed for the attacker. */
  readonly signed: Signed[] = [];
  /** Codes of what keyd refused, with how often it did. */
  readonly refusals = new Map<string, number>();
  readonly began = Date.now();
  readonly deaths: string[] = [];
  /** Devices whose TPM has answered a challenge. */
  readonly answered = new Set<string>();
  readonly #channelKey: SecretBytes;
  #service: Service;
  #moment = 0;

  private constructor(bed: KeydBed, trust: Result<'trust'>, channelKey: SecretBytes) {
    this.bed = bed;
    this.trust = trust;
    this.#channelKey = channelKey;
    this.#service = this.#launch();
  }

  /** @param policy what the policy has besides. */
  static async make(policy: Partial<DemoPolicyOptions> = {}): Promise<Siege> {
    const bed = await KeydBed.make({ est: { serverKeys: ['ldevid'] }, ...policy });
    // The process has the machine's clock.
    bed.clock.set(new Date());
    const trust = await bed.client.trust();
    await bed.stop();
    const siege = new Siege(bed, trust, SecretBytes.random(32));
    await siege.#service.ready;
    return siege;
  }

  #launch(): Service {
    return launchKeyd(this.bed.rehearsal.layout, {
      passphrase: KEYD_PASSPHRASE,
      channelKey: this.#channelKey.use(toBase64),
      onExit: (how) => this.deaths.push(how),
    });
  }

  get pid(): number {
    return this.#service.pid ?? 0;
  }

  get journal(): string {
    return join(this.bed.dir, 'journal');
  }

  get entries(): ReturnType<typeof readJournal>['entries'] {
    return readJournal(this.journal).entries;
  }

  key(): SecretBytes {
    return this.#channelKey.use((bytes) => SecretBytes.copy(bytes));
  }

  /** A bare connection. */
  async socket(): Promise<Socket> {
    const socket = createConnection(keydSocketPath(this.bed.rehearsal.layout));
    socket.on('error', () => {});
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve);
      socket.once('close', () => resolve());
    });
    return socket;
  }

  /** A connection on which the attacker says what he likes. */
  async front(): Promise<HostileFrontEnd> {
    return new HostileFrontEnd(await greetPeer(await this.socket(), this.key()));
  }

  /** A front end that was not taken over. */
  honest(): Promise<KeydClient> {
    return KeydClient.connect(keydSocketPath(this.bed.rehearsal.layout), this.key());
  }

  /** Asks, and keeps what was signed. */
  async ask(front: HostileFrontEnd, op: string, params: Record<string, unknown>): Promise<RawAnswer> {
    this.#moment += 1;
    const asked = this.#moment;
    const answer = await front.ask(op, params);
    this.#moment += 1;
    if (answer.error !== undefined) {
      this.refusals.set(answer.error.code, (this.refusals.get(answer.error.code) ?? 0) + 1);
    } else if (SIGNING.has(op)) {
      this.signed.push({ op, params, ok: answer.ok as Record<string, unknown>, asked, answered: this.#moment });
    }
    return answer;
  }

  /** Memory of keyd now and at its highest, kB. */
  memory(): { now: number; most: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const kb = (field: string): number => Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]);
    return { now: kb('VmRSS'), most: kb('VmHWM') };
  }

  /** kill -9, and a start on what is there. */
  async restart(): Promise<void> {
    const before = this.deaths.length;
    process.kill(this.pid, 'SIGKILL');
    while (this.deaths.length === before) await new Promise((resolve) => setImmediate(resolve));
    this.deaths.pop();
    this.#service = this.#launch();
    await this.#service.ready;
  }

  async end(): Promise<void> {
    await this.#service.stop();
    this.#channelKey.wipe();
    await this.bed.remove();
  }
}

/** A request with extensions that nobody asked for, by openssl: no writer here would make one. DER. */
export function foreignCsr(name: string, extensions: readonly string[]): Uint8Array {
  const run = spawnSync(
    'openssl',
    [
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', '/dev/null'],
      ...['-subj', `/CN=${name}`, '-outform', 'DER', ...extensions.flatMap((one) => ['-addext', one])],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  if (run.status !== 0) throw new Error(run.stderr.toString());
  return new Uint8Array(run.stdout);
}
