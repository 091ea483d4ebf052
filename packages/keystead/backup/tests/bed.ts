import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { fromPem } from '@keystead/core/bytes';
import { ageRecipientOf, generateSoftwareKey, SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import {
  type DemoPolicyOptions,
  type RestoreOrder,
  type RestoreStatement,
  signRestoreStatement,
} from '@keystead/core/lifecycle';
import { pino } from 'pino';
import type { OperatorClient } from '../../access/index.ts';
import { parseEntry } from '../../audit/index.ts';
import type { Layout } from '../../files/layout.ts';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey, type TestKey } from '../../keyd/tests/bed.ts';
import { openRooms } from '../../serve/open-rooms.ts';
import type { Rooms } from '../../serve/rooms.ts';
import type { AgeIdentity } from '../age.ts';
import { softwareIdentity } from '../custodian-key.ts';
import {
  type BackupTrust,
  createBackup,
  type Newest,
  openBackup,
  type Restored,
  respond,
  restoreBackup,
  type ShareSession,
  type SignedBackup,
} from '../index.ts';

export const CUSTODIANS = ['alice', 'bob', 'carol'] as const;
export type Custodian = (typeof CUSTODIANS)[number];

const ADA: OperatorClient = {
  kind: 'operator',
  id: 'ada',
  roles: ['ca-operator'],
  issuer: 'operator',
  serial: '01' as Serial,
  spkiSha256: spkiSha256(new Uint8Array()),
  profile: 'operator',
  certificate: new Uint8Array() as DerCertificate,
};

/**
 * A data directory with a keyd and a front end in this process, and three custodians of whom two restore: alice and
 * carol with keys that age-keygen made, bob with a P-256 key.
 */
export class BackupBed {
  readonly folder = mkdtempSync(join(tmpdir(), 'keystead-backup-'));
  readonly keyd: KeydBed;
  readonly keys: Readonly<Record<Custodian, AgeIdentity>>;
  /** By which custodians sign that they agree to a restore. */
  readonly signing: Readonly<Record<Custodian, TestKey>>;
  #rooms: Rooms | undefined;
  #made = 0;

  private constructor(keyd: KeydBed, keys: BackupBed['keys'], signing: BackupBed['signing']) {
    this.keyd = keyd;
    this.keys = keys;
    this.signing = signing;
  }

  /** @param policy what the policy has besides. */
  static async make(policy: Partial<DemoPolicyOptions> = {}): Promise<BackupBed> {
    const alice = ageKeygen();
    const carol = ageKeygen();
    const bob = generateSoftwareKey('P-256');
    const keys = {
      alice: alice.identity,
      bob: softwareIdentity(bob.pkcs8),
      carol: carol.identity,
    };
    const custodians = [
      { name: 'alice', recipient: alice.recipient },
      { name: 'bob', recipient: ageRecipientOf(bob.spki) },
      { name: 'carol', recipient: carol.recipient },
    ];
    const signing = { alice: makeKey(), bob: makeKey(), carol: makeKey() };
    const others = CUSTODIANS.map((name) => ({ name, roles: ['custodian'] as const, spki: signing[name].spki }));
    const keyd = await KeydBed.make({ backup: { threshold: 2, custodians }, ...policy }, undefined, others);
    const bed = new BackupBed(keyd, keys, signing);
    await bed.openRooms();
    return bed;
  }

  get layout(): Layout {
    return this.keyd.rehearsal.layout;
  }

  get rooms(): Rooms {
    if (this.#rooms === undefined) throw new Error('the rooms are closed');
    return this.#rooms;
  }

  get trust(): BackupTrust {
    const [root] = fromPem('CERTIFICATE', readFileSync(join(this.layout.trust, 'root.pem'), 'utf8'));
    return { root: root as DerCertificate };
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async openRooms(): Promise<void> {
    const { layout } = this;
    this.#rooms = await openRooms({
      sealingKey: SecretBytes.random(32),
      layout,
      keyd: this.keyd.client,
      clock: this.keyd.clock,
      log: pino({ level: 'silent' }),
      checkpointEveryMs: 1,
    });
    await this.#rooms.start();
  }

  async closeRooms(): Promise<void> {
    await this.#rooms?.close();
    this.#rooms = undefined;
  }

  async remove(): Promise<void> {
    await this.closeRooms();
    await this.keyd.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Opens a batch (once for each ticket) and provisions one device of it. */
  async provision(deviceId: string, ticketId = 'batch-1'): Promise<void> {
    const { provisioning } = this.rooms;
    const actor = { kind: 'operator', id: 'ada' } as const;
    if (this.rooms.store.read((records) => records.ticket(ticketId)) === undefined) {
      const ticket = await this.keyd.ticket({ id: ticketId });
      await provisioning.openBatch({ ticket, actor, requestId: `open-${ticketId}` });
    }
    const unit = { ticketId, deviceId, csr: await csrFor(deviceId), line: 'line-1', station: 'station-1' };
    await provisioning.provisionUnit({ ...unit, operator: 'lin', requestId: `unit-${deviceId}` });
  }

  /** Waits until the log is published. */
  async published(): Promise<void> {
    await this.closeRooms();
    await this.openRooms();
    await this.closeRooms();
    await this.openRooms();
  }

  async create(name = `${this.#made}.ksb`, client = ADA): Promise<SignedBackup> {
    this.#made += 1;
    using master = SecretBytes.take(Buffer.from(KEYD_PASSPHRASE));
    return await createBackup({
      layout: this.layout,
      out: this.path(name),
      master,
      trust: this.trust,
      sign: (draft) => this.rooms.backups.sign(draft, client, `backup-${this.#made}`),
    });
  }

  open(path: string): Promise<SignedBackup> {
    return openBackup(path, this.trust);
  }

  /** Feeds a session with the responses of these custodians. */
  answerBy(backup: SignedBackup, ...custodians: readonly Custodian[]): (session: ShareSession) => Promise<void> {
    return async (session) => {
      for (const name of custodians) {
        await session.accept((await respond(backup, name, [this.keys[name]], session.recipient)) ?? '');
      }
    };
  }

  restore(
    backup: SignedBackup,
    to: string,
    more: {
      newest?: Partial<Newest>;
      by?: readonly Custodian[];
      masterOut?: string;
      collect?: (s: ShareSession) => Promise<void>;
      onOrder?: (order: RestoreOrder) => void;
      statements?: () => readonly string[];
    } = {},
  ): Promise<Restored> {
    return restoreBackup({
      backup,
      to,
      newest: { seen: [], acceptLoss: more.newest === undefined, ...more.newest },
      masterOut: more.masterOut,
      onOrder: more.onOrder,
      statements: more.statements,
      collect: more.collect ?? this.answerBy(backup, ...(more.by ?? ['alice', 'bob'])),
      clock: this.keyd.clock,
    });
  }

  /** One statement about a restore: ada asks, custodians agree. */
  statement(
    order: RestoreOrder,
    signer: 'ada' | Custodian,
    more: Partial<RestoreStatement> & { readonly key?: TestKey } = {},
  ): Promise<string> {
    const { key = signer === 'ada' ? this.keyd.people.ada : this.signing[signer], ...said } = more;
    const draft: Omit<RestoreStatement, 'v'> = {
      act: signer === 'ada' ? 'propose' : 'approve',
      order,
      proposer: 'ada',
      role: signer === 'ada' ? 'ca-operator' : 'custodian',
      signedAt: this.seconds(0),
      expiresAt: this.seconds(3600),
      ...said,
    };
    return signRestoreStatement(draft, signer, key.signer);
  }

  /** A time by the clock of keyd, seconds from now. */
  seconds(from: number): string {
    return `${new Date(this.keyd.clock.now().getTime() + from * 1000).toISOString().slice(0, 19)}Z`;
  }

  /** The entries of the log in the records of a data directory. */
  entries(): { type: string; outcome: string; subject: unknown; detail: Record<string, unknown> }[] {
    return this.rooms.store
      .read((records) => records.auditEntries(0, 10_000))
      .map(({ bytes }) => ({ detail: {}, ...parseEntry(bytes) }));
  }
}

/** A key as the age tools make it. */
export function ageKeygen(): { identity: string; recipient: string } {
  const text = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const identity = /AGE-SECRET-KEY-1\S+/.exec(text)?.[0] ?? '';
  const recipient = /public key: (age1\S+)/.exec(text)?.[1] ?? '';
  return { identity, recipient };
}

/** A copy of a file with one byte changed. */
export function flipped(path: string, at: number, to: string): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x01;
  writeFileSync(to, bytes);
}
