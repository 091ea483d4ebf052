import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, beforeEach, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { appendEntry, certificateRow, insertWithKey, StoreBed } from './bed.ts';

let bed = new StoreBed();
beforeEach(async () => {
  await bed.remove();
  bed = new StoreBed();
});
after(() => bed.remove());

test('the database keeps a write-ahead log and strict tables, and only its owner can read it', async () => {
  await bed.store.commit((tx) => insertWithKey(tx, certificateRow()));
  await bed.close();
  const database = new DatabaseSync(bed.path);
  assert.equal(database.prepare('pragma journal_mode').get()?.journal_mode, 'wal');
  const tables = database.prepare(
    "select name, strict from pragma_table_list where type = 'table' and name not like 'sqlite%'",
  );
  for (const table of tables.all()) assert.equal(table.strict, 1, String(table.name));
  database.close();
  assert.equal(statSync(bed.path).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(bed.path)).mode & 0o777, 0o700);
});

test('a certificate reads back as it was written', async () => {
  const row = certificateRow({ reason: 'keyCompromise', status: 'revoked', revokedAt: 1_764_000_000_000 });
  await bed.store.commit((tx) => insertWithKey(tx, row));
  const read = bed.store.read((records) => records.certificate(row.issuer, row.serial));
  assert.deepEqual({ ...read }, { ...row });
  assert.equal(bed.store.read((records) => records.keyUse(row.spkiSha256))?.serial, row.serial);
});

test('work of one turn shares a transaction, and a failure undoes only its own', async () => {
  const rows = Array.from({ length: 20 }, () => certificateRow());
  const outcomes = await Promise.allSettled(
    rows.map((row, index) =>
      bed.store.commit((tx) => {
        insertWithKey(tx, row);
        appendEntry(tx, `issued ${row.serial}`);
        if (index % 3 === 0) throw new KeysteadError('device.blocked', { seen: String(index) });
        return index;
      }),
    ),
  );
  for (const [index, row] of rows.entries()) {
    const outcome = outcomes[index];
    const stored = bed.store.read((records) => records.certificate('operational', row.serial));
    if (index % 3 === 0) {
      assert.equal(outcome?.status === 'rejected' && outcome.reason.code, 'device.blocked');
      assert.equal(stored, undefined);
    } else {
      assert.deepEqual(outcome, { status: 'fulfilled', value: index });
      assert.notEqual(stored, undefined);
    }
  }
  // The numbers of the audit log have no gap where work was undone.
  const entries = bed.store.read((records) => records.auditEntries(0, 100));
  assert.deepEqual(
    entries.map(({ seq }) => seq),
    entries.map((_, index) => index),
  );
  assert.equal(entries.length, 13);
});

test('work is seen by readers only when it is committed, and a read is one moment', async () => {
  const row = certificateRow();
  const done = bed.store.commit((tx) => {
    insertWithKey(tx, row);
    assert.notEqual(tx.certificate(row.issuer, row.serial), undefined);
    assert.equal(
      bed.store.read((records) => records.certificate(row.issuer, row.serial)),
      undefined,
    );
  });
  await done;
  assert.equal(
    bed.store.read((records) => records.countCertificates()),
    1,
  );
});

test('TEST-KEY-19 a key that two ask for in one group commit goes to the first, and the second is told', async () => {
  const first = certificateRow();
  const second = certificateRow({ spkiSha256: first.spkiSha256 });
  const outcomes = await Promise.allSettled([
    bed.store.commit((tx) => insertWithKey(tx, first, 'device:pump-1')),
    bed.store.commit((tx) => insertWithKey(tx, second, 'device:pump-2')),
  ]);
  assert.equal(outcomes[0]?.status, 'fulfilled');
  assert.equal(outcomes[1]?.status === 'rejected' && outcomes[1].reason.code, 'key.already-used');
  assert.equal(bed.store.read((records) => records.keyUse(first.spkiSha256))?.owner, 'device:pump-1');
  assert.equal(
    bed.store.read((records) => records.countCertificates()),
    1,
  );
});

test('TEST-KEY-19 a certificate cannot be recorded without the history of its key', async () => {
  await assert.rejects(
    bed.store.commit((tx) => tx.insertCertificate(certificateRow())),
    /FOREIGN KEY/,
  );
});

test('an audit entry that is not the next one, or goes back in time, is refused before it is written', async () => {
  await bed.store.commit((tx) => appendEntry(tx, 'first'));
  const entry = { leafHash: new Uint8Array(32), bytes: new Uint8Array(1) };
  await assert.rejects(
    bed.store.commit((tx) => tx.insertAudit({ ...entry, seq: 5, time: Date.UTC(2027, 0) })),
    RangeError,
  );
  await assert.rejects(
    bed.store.commit((tx) => tx.insertAudit({ ...entry, seq: 1, time: 1 })),
    RangeError,
  );
  assert.equal(
    bed.store.read((records) => records.auditSize()),
    1,
  );
});

test('a revocation is never taken back by a change of status', async () => {
  const row = certificateRow();
  await bed.store.commit((tx) => {
    insertWithKey(tx, row);
    assert.equal(tx.setStatus(row.issuer, row.serial, 'revoked', 1_764_000_000_000, 'keyCompromise'), true);
    assert.equal(tx.setStatus(row.issuer, row.serial, 'good', null, null), false);
  });
  assert.equal(bed.store.read((records) => records.statusOf(row.issuer, row.serial))?.status, 'revoked');
});

test('another process that writes to the log between two groups is noticed', async () => {
  await bed.store.commit((tx) => appendEntry(tx, 'ours'));
  const other = new DatabaseSync(bed.path);
  const insert = other.prepare('insert into audit_entry (seq, time, leaf_hash, bytes) values (1, ?, ?, ?)');
  insert.run(Date.UTC(2026, 5), new Uint8Array(32), new Uint8Array(1));
  other.close();
  assert.equal(await bed.store.commit((tx) => appendEntry(tx, 'ours again')), 2);
});

test('closing waits for the work that is queued, and takes no more', async () => {
  const row = certificateRow();
  const store = bed.store;
  const queued = store.commit((tx) => insertWithKey(tx, row));
  const closed = store.close();
  await assert.rejects(
    store.commit(() => 1),
    { code: 'store.closed' },
  );
  await Promise.all([queued, closed]);
  assert.throws(() => store.read(() => 1), { code: 'store.closed' });
  await bed.close();
  assert.notEqual(
    bed.open().read((records) => records.certificate(row.issuer, row.serial)),
    undefined,
  );
});
