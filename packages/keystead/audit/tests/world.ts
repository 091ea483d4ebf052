import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CheckpointKeys,
  checkpointNote,
  Frontier,
  formatVerifierKey,
  type NoteSigner,
  verifierKey,
} from '@keystead/core/log';
import {
  type AuditEvent,
  type AuditReader,
  type AuditRow,
  type AuditSink,
  appendAudit,
  type CheckpointSigner,
  LogPublisher,
  type LogReport,
  type Timers,
  type VerifyLogOptions,
  verifyLogFiles,
} from '../index.ts';

/** The table of the log in memory. */
export class MemoryLog implements AuditSink, AuditReader {
  readonly rows: (AuditRow & { time: number })[] = [];

  lastAudit(): { seq: number; time: number } | undefined {
    return this.rows.at(-1);
  }

  insertAudit(row: AuditRow & { readonly time: number }): void {
    this.rows.push({ ...row });
  }

  auditEntries(from: number, count: number): AuditRow[] {
    return this.rows.filter(({ seq }) => seq >= from).slice(0, count);
  }
}

export const ORIGIN = 'keystead.test/log';

/** The two keys of a log. */
export class LogKeys {
  readonly log: NoteSigner = { name: ORIGIN, signer: softwareSigner('Ed25519', generateSoftwareKey('Ed25519').pkcs8) };
  readonly time: NoteSigner = {
    name: `${ORIGIN}/time`,
    signer: softwareSigner('Ed25519', generateSoftwareKey('Ed25519').pkcs8),
  };

  get keys(): CheckpointKeys {
    return {
      log: verifierKey(this.log.name, 'ed25519', this.log.signer.spki),
      cosigner: verifierKey(this.time.name, 'cosignature-v1', this.time.signer.spki),
    };
  }

  get vkeys(): string[] {
    return [
      formatVerifierKey(this.log.name, 'ed25519', this.log.signer.spki),
      formatVerifierKey(this.time.name, 'cosignature-v1', this.time.signer.spki),
    ];
  }
}

/** A signer that behaves as keyd must: it only ever appends, and keeps each leaf before it signs. */
export class TestKeyd implements CheckpointSigner {
  readonly #keys: LogKeys;
  readonly #clock: SimulatedClock;
  readonly leavesPath: string;
  readonly leaves: Uint8Array[] = [];
  #frontier = new Frontier();
  requests = 0;
  /** Called before the answer leaves. */
  beforeAnswer: () => void | Promise<void> = () => {};

  constructor(keys: LogKeys, clock: SimulatedClock, leavesPath: string) {
    this.#keys = keys;
    this.#clock = clock;
    this.leavesPath = leavesPath;
  }

  async signCheckpoint({ size, leaves }: { size: number; leaves: Uint8Array[] }): Promise<string> {
    this.requests++;
    if (size > this.leaves.length) throw new KeysteadError('log.size-mismatch', { seen: `${size}` });
    for (const [i, leaf] of leaves.entries()) {
      const held = this.leaves[size + i];
      if (held === undefined) this.#take(leaf);
      else if (!sameBytes(held, leaf)) throw new KeysteadError('log.size-mismatch', { field: `leaf ${size + i}` });
    }
    await this.beforeAnswer();
    return this.sign();
  }

  sign(): Promise<string> {
    const { log, time } = this.#keys;
    const head = { origin: ORIGIN, size: this.#frontier.size, root: this.#frontier.root() };
    return checkpointNote(head, log, time, Math.floor(this.#clock.now().getTime() / 1000));
  }

  #take(leaf: Uint8Array): void {
    this.leaves.push(leaf);
    appendFileSync(this.leavesPath, leaf);
    this.#frontier.append(leaf);
  }
}

/** Timers that never fire: what a test wants published, it flushes. */
export const noTimers: Timers = { after: () => () => {} };

/** Timers that fire at once, in order, when the event loop is free. */
export const promptTimers: Timers = {
  after(_ms, act) {
    const immediate = setImmediate(act);
    return () => clearImmediate(immediate);
  },
};

export const event = (n: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  type: 'certificate.issued',
  actor: { kind: 'device', id: `KS-${n}` },
  requestId: `request-${n}`,
  outcome: 'done',
  subject: { deviceId: `KS-${n}`, serial: `0${n}` },
  detail: { profile: 'ldevid' },
  ...more,
});

/** A log with its database, keyd and directory. */
export class World {
  readonly root = mkdtempSync(join(tmpdir(), 'keystead-audit-'));
  readonly dir = join(this.root, 'log');
  readonly clock = new SimulatedClock(new Date('2026-03-01T12:00:00.000Z'));
  readonly keys = new LogKeys();
  readonly database = new MemoryLog();
  readonly keyd = new TestKeyd(this.keys, this.clock, join(this.root, 'leaves'));
  readonly publisher = this.newPublisher();

  newPublisher(more: Partial<ConstructorParameters<typeof LogPublisher>[0]> = {}): LogPublisher {
    const { database: entries, dir, keyd: signer, clock } = this;
    return new LogPublisher({ entries, dir, signer, keys: this.keys.keys, clock, timers: noTimers, ...more });
  }

  /** Appends `count` events, one a second. */
  append(count: number, more: Partial<AuditEvent> = {}): void {
    for (let i = 0; i < count; i++) {
      this.clock.advance(1);
      appendAudit(this.database, event(this.database.rows.length, more), this.clock);
    }
  }

  /** Appends and publishes, one checkpoint for each count. */
  async publish(...counts: number[]): Promise<void> {
    for (const count of counts) {
      this.append(count);
      await this.publisher.flush();
    }
  }

  /** Verifies with what is in the log's directory alone. */
  verifyFiles(more: Partial<VerifyLogOptions> = {}): Promise<LogReport> {
    return verifyLogFiles({ dir: this.dir, vkeys: this.keys.vkeys, timers: promptTimers, settleMs: 100, ...more });
  }

  /** Verifies with keyd's leaves too. */
  verify(more: Partial<VerifyLogOptions> = {}): Promise<LogReport> {
    return this.verifyFiles({ keydLeaves: this.keyd.leavesPath, ...more });
  }

  file(path: string): Buffer {
    return readFileSync(join(this.dir, path));
  }

  has(path: string): boolean {
    return existsSync(join(this.dir, path));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
