import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { LogSigner } from '../../keyd/log-signer.ts';
import { openStore } from '../../store/index.ts';
import {
  type AuditReader,
  AuditTable,
  appendAudit,
  type CheckpointSigner,
  LogPublisher,
  type LogReport,
  verifyLogFiles,
} from '../index.ts';
import { event, noTimers, promptTimers, World } from './world.ts';

/** The log with the real parts: SQLite for the entries, keyd's signer for the checkpoints. */
class RealWorld {
  readonly world = new World();
  readonly keydDir = join(this.world.root, 'keyd');
  readonly path = join(this.world.root, 'store', 'keystead.db');
  readonly store = openStore({ path: this.path, clock: this.world.clock });

  async keyd(): Promise<LogSigner> {
    mkdirSync(this.keydDir, { recursive: true });
    const { log, time, vkeys } = this.world.keys;
    return LogSigner.open(this.keydDir, { log, cosigner: time, vkey: vkeys[0] ?? '', cosignVkey: vkeys[1] ?? '' });
  }

  publisher(signer: CheckpointSigner): LogPublisher {
    const entries: AuditReader = {
      auditEntries: (from, count) => this.store.read((records) => records.auditEntries(from, count)),
    };
    const { dir, clock, keys } = this.world;
    return new LogPublisher({ entries, dir, signer, keys: keys.keys, clock, timers: noTimers });
  }

  async append(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.world.clock.advance(1);
      await this.store.commit((tx) => appendAudit(tx, event(i), this.world.clock));
    }
  }

  async verify(): Promise<LogReport> {
    const stored = new AuditTable(this.path);
    const keydLeaves = join(this.keydDir, 'leaves');
    const otherCheckpoint = readFileSync(join(this.keydDir, 'checkpoint'), 'utf8');
    const { dir, keys } = this.world;
    const options = {
      dir,
      vkeys: keys.vkeys,
      keydLeaves,
      otherCheckpoint,
      stored,
      timers: promptTimers,
      settleMs: 100,
    };
    return verifyLogFiles(options).finally(() => stored.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    this.world[Symbol.dispose]();
  }
}

const signerOf = (keyd: LogSigner, world: World): CheckpointSigner => ({
  signCheckpoint: async ({ size, leaves }) => (await keyd.append(size, leaves, world.clock.now())).checkpoint,
});

test('whoever has the password of the database and changes, drops or moves an entry there is found, and the entry named (TEST-KEY-26)', async () => {
  await using real = new RealWorld();
  const keyd = await real.keyd();
  await real.append(300);
  await real.publisher(signerOf(keyd, real.world)).open();
  assert.equal((await real.verify()).verdict, 'proven');
  const attacks: readonly [sql: string, index: number, fault: string][] = [
    [
      `update audit_entry set bytes = cast(replace(cast(bytes as text), '"done"', '"none"') as blob) where seq = 41`,
      41,
      'database-differs',
    ],
    [
      `update audit_entry set bytes = (select bytes from audit_entry where seq = 8) where seq = 7`,
      7,
      'database-differs',
    ],
    [`update audit_entry set leaf_hash = zeroblob(32) where seq = 299`, 299, 'database-differs'],
    [`delete from audit_entry where seq = 256`, 256, 'database-dropped'],
    [`delete from audit_entry where seq >= 290`, 290, 'database-dropped'],
  ];
  for (const [sql, index, fault] of attacks) {
    const attacker = new DatabaseSync(real.path);
    attacker.exec('begin');
    attacker.exec('create temp table kept as select * from audit_entry');
    attacker.exec(sql);
    attacker.exec('commit');
    const { firstBad } = await real.verify();
    assert.deepEqual([firstBad?.index, firstBad?.fault], [index, fault], sql);
    attacker.exec(
      'begin; delete from audit_entry; insert into audit_entry select * from kept; commit; drop table kept',
    );
    attacker.close();
    assert.equal((await real.verify()).verdict, 'proven');
  }
  await keyd.close();
});

test('a database that is none is a finding', async () => {
  await using real = new RealWorld();
  const keyd = await real.keyd();
  await real.append(3);
  await real.publisher(signerOf(keyd, real.world)).open();
  const other = join(real.world.root, 'other.db');
  new DatabaseSync(other).close();
  const stored = new AuditTable(other);
  const report = await real.world.verifyFiles({ stored });
  stored.close();
  assert.deepEqual(
    report.findings.map(({ fault }) => fault),
    ['database-unreadable'],
  );
  await keyd.close();
});

test('the publisher and keyd agree again after each was killed in turn', async () => {
  await using real = new RealWorld();
  const { world } = real;
  let keyd = await real.keyd();
  // keyd signs, and the answer is lost.
  const deaf: CheckpointSigner = {
    signCheckpoint: async ({ size, leaves }) => {
      await keyd.append(size, leaves, world.clock.now());
      throw new Error('killed');
    },
  };
  await real.append(5);
  await assert.rejects(real.publisher(deaf).open());
  await real.append(300);
  await keyd.close();
  keyd = await real.keyd();
  await real.publisher(signerOf(keyd, world)).open();
  assert.equal((await real.verify()).head?.size, 305);
  // The same without anything new since.
  await real.append(2);
  await assert.rejects(real.publisher(deaf).open());
  assert.equal((await real.verify()).firstBad?.fault, 'log-truncated');
  await real.publisher(signerOf(keyd, world)).open();
  assert.equal((await real.verify()).verdict, 'proven');
  // The log's directory is lost; keyd holds everything, and the database gives it again.
  rmSync(world.dir, { recursive: true });
  await real.publisher(signerOf(keyd, world)).open();
  const report = await real.verify();
  assert.deepEqual([report.verdict, report.head?.size], ['proven', 307]);
  // An idle hour is signed.
  world.clock.advance(3_600);
  await real.publisher(signerOf(keyd, world)).open();
  assert.equal((await real.verify()).head?.signedAt, world.clock.now().toISOString());
  // A torn leaf at the end of keyd's file is none.
  const leaves = join(real.keydDir, 'leaves');
  writeFileSync(leaves, Buffer.concat([readFileSync(leaves), Buffer.alloc(7)]));
  assert.equal((await real.verify()).verdict, 'proven');
  await keyd.close();
});
