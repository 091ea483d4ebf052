import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { SecretBytes, sha256 } from '@keystead/core/crypto';
import type { RestoreOrder } from '@keystead/core/lifecycle';
import { readCrl } from '@keystead/core/x509';
import { combine } from 'shamir-secret-sharing';
import { Layout } from '../../files/layout.ts';
import { csrFor, KEYD_PASSPHRASE } from '../../keyd/tests/bed.ts';
import { verifyHistory } from '../../verify/history.ts';
import { type AgeIdentity, encryptTo, toArmor } from '../age.ts';
import { bringStatements, drillBackup, respond, restoreBackup, type SignedBackup } from '../index.ts';
import { BackupBed } from './bed.ts';

let bed: BackupBed;
let backup: SignedBackup;
before(async () => {
  bed = await BackupBed.make();
  await bed.provision('KS-0001');
  await bed.provision('KS-0002');
  await bed.published();
  backup = await bed.create('first.ksb');
});
after(() => bed.remove());

const names = (dir: string): string[] => readdirSync(dir).filter((name) => name !== 'refused');
const refusedLines = (to: string): string[] =>
  existsSync(`${to}.refused-restores.jsonl`)
    ? readFileSync(`${to}.refused-restores.jsonl`, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).code)
    : [];

test('TEST-KEY-21 M custodians restore bit for bit; the master only where it is asked for', async () => {
  const to = bed.path('whole');
  const { custodians, logEntries } = await bed.restore(backup, to, { by: ['bob', 'carol'] });
  assert.deepEqual(custodians, ['bob', 'carol']);
  for (const { path, bytes, sha256: hash } of backup.manifest.members) {
    if (path === 'master/keyd' || path.startsWith('log/')) continue;
    const restored = readFileSync(join(to, path)).subarray(0, bytes);
    assert.equal(toHex(sha256(restored)), hash, path);
  }
  const layout = new Layout(to);
  const report = await verifyHistory(layout);
  assert.equal(report.verdict, 'proven');
  assert.equal(report.head?.size, logEntries);
  assert.ok(!existsSync(join(to, 'master')) && !existsSync(join(to, 'keyd', 'keystore.sealed')));
  assert.equal(statSync(to).mode & 0o777, 0o700);
  // The published log is the same, too: tiles are made again under the signed root.
  const tile = join('tile', '0', readdirSync(join(bed.layout.log, 'tile', '0'))[0] ?? '');
  assert.ok(existsSync(join(layout.log, tile)));

  const masterOut = bed.path('master');
  await bed.restore(backup, bed.path('with-master'), { masterOut });
  assert.equal(readFileSync(masterOut, 'utf8'), `${KEYD_PASSPHRASE}\n`);
  assert.equal(statSync(masterOut).mode & 0o777, 0o600);
  await assert.rejects(bed.restore(backup, bed.path('again'), { masterOut }), { code: 'backup.exists' });
});

test('TEST-KEY-21 M-1 custodians restore nothing, and it is written down', async () => {
  const to = bed.path('too-few');
  await assert.rejects(bed.restore(backup, to, { by: ['carol'] }), { code: 'backup.too-few-shares', seen: '1 of 2' });
  await assert.rejects(bed.restore(backup, to, { by: [] }), { code: 'backup.too-few-shares', seen: '0 of 2' });
  assert.ok(!existsSync(to));
  assert.deepEqual(refusedLines(to), ['backup.too-few-shares', 'backup.too-few-shares']);
  // The quorum that comes then is told of them in keyd's journal.
  await bed.restore(backup, to);
  assert.deepEqual(refusedLines(to), []);
  const last = JSON.parse(
    readFileSync(join(to, 'keyd', 'journal'), 'utf8')
      .trim()
      .split('\n')
      .at(-1) ?? '',
  );
  assert.equal(last.kind, 'restored');
  assert.deepEqual(last.custodians, ['alice', 'bob']);
  assert.deepEqual(
    last.refused.map(({ code }: { code: string }) => code),
    ['backup.too-few-shares', 'backup.too-few-shares'],
  );
});

test('each wrong response is refused by name, and the session goes on', async () => {
  const to = bed.path('responses');
  const other = await bed.create();
  let seen: string[] = [];
  await bed.restore(backup, to, {
    collect: async (session) => {
      const refused = async (response: string | undefined, code: string): Promise<void> => {
        await assert.rejects(session.accept(response ?? ''), { code });
        assert.equal(session.missing, 2 - session.custodians.length);
      };
      const answer = (of: SignedBackup, who: 'alice' | 'bob' | 'carol', to_ = session.recipient) =>
        respond(of, who, [bed.keys[who]], to_);
      await refused('not a response', 'backup.share-malformed');
      await refused(await answer(other, 'alice'), 'backup.share-foreign');
      const elsewhere = await encryptTo(backup.manifest.custodians[0]?.recipient ?? '', SecretBytes.random(9));
      await refused(toArmor(elsewhere), 'backup.response-foreign');
      await refused(toArmor(await encryptTo(session.recipient, SecretBytes.random(9))), 'backup.share-malformed');
      assert.equal(await session.accept((await answer(backup, 'alice')) ?? ''), 'alice');
      await refused(await answer(backup, 'alice'), 'backup.share-repeated');
      assert.equal(await session.accept((await answer(backup, 'carol')) ?? ''), 'carol');
      seen = session.refused.map(({ code }) => code);
    },
  });
  assert.equal(seen.length, 5);
});

test('a custodian with another key, or who is none, opens nothing; and a recipient with a slip of the pen is refused', async () => {
  await assert.rejects(respond(backup, 'alice', [bed.keys.carol], undefined), { code: 'backup.key-differs' });
  await assert.rejects(respond(backup, 'alice', [bed.keys.bob], undefined), { code: 'backup.key-differs' });
  await assert.rejects(respond(backup, 'mallory', [bed.keys.bob], undefined), { code: 'backup.custodian-unknown' });
  assert.equal(await respond(backup, 'bob', [bed.keys.bob], undefined), undefined);
  const slip: AgeIdentity[] = [bed.keys.alice];
  await assert.rejects(respond(backup, 'alice', slip, 'age1qqqq'), { code: 'backup.recipient-malformed' });
});

test('a response that was given to one session is of no use to another', async () => {
  let kept = '';
  await bed.restore(backup, bed.path('one-session'), {
    collect: async (session) => {
      kept = (await respond(backup, 'alice', [bed.keys.alice], session.recipient)) ?? '';
      await session.accept(kept);
      await bed.answerBy(backup, 'bob')(session);
    },
  });
  await assert.rejects(
    bed.restore(backup, bed.path('other-session'), { collect: async (session) => void (await session.accept(kept)) }),
    { code: 'backup.response-foreign' },
  );
});

test('a target that is not empty stays as it is, and one that is newer is named so', async () => {
  const full = bed.path('full');
  mkdirSync(full);
  writeFileSync(join(full, 'mine'), 'mine');
  await assert.rejects(bed.restore(backup, full), { code: 'backup.target-not-empty' });
  writeFileSync(bed.path('file'), 'mine');
  await assert.rejects(bed.restore(backup, bed.path('file')), { code: 'backup.target-not-empty' });
  assert.deepEqual([readdirSync(full), readFileSync(bed.path('file'), 'utf8')], [['mine'], 'mine']);
  await bed.provision('KS-0003');
  await bed.published();
  const before_ = readFileSync(join(bed.layout.keyd, 'journal'));
  await assert.rejects(bed.restore(backup, bed.layout.data), { code: 'backup.older-than-state' });
  assert.deepEqual(readFileSync(join(bed.layout.keyd, 'journal')), before_);
  const empty = bed.path('empty');
  mkdirSync(empty);
  await bed.restore(backup, empty);
  assert.ok(existsSync(join(empty, 'config.json')) || existsSync(join(empty, 'trust')));
});

test('a backup that is damaged is refused before any custodian is asked, and a changed member after', async () => {
  const copy = bed.path('damaged.ksb');
  copyFileSync(backup.path, copy);
  const bytes = readFileSync(copy);
  bytes[4000] = (bytes[4000] ?? 0) ^ 1;
  writeFileSync(copy, bytes);
  let asked = false;
  const collect = async (): Promise<void> => {
    asked = true;
  };
  await assert.rejects(bed.restore(await bed.open(copy), bed.path('d'), { collect }), { code: 'backup.damaged' });
  assert.ok(!asked && !existsSync(bed.path('d')));
});

test('what a killed restore left beside its target is removed by the next', async () => {
  const to = bed.path('killed');
  mkdirSync(bed.path('.killed.0123456789abcdef.restoring/keyd'), { recursive: true });
  await bed.restore(backup, to);
  assert.deepEqual(
    names(bed.folder).filter((name) => name.endsWith('.restoring')),
    [],
  );
});

test('how far the log had come must be said, and is held against the backup', async () => {
  const newest = readFileSync(join(bed.layout.log, 'checkpoint'), 'utf8');
  const own = backup.manifest.checkpoint ?? '';
  const asking = async (collectNever: { seen: string[]; log?: string }, code: string): Promise<void> => {
    let asked = false;
    const collect = async (): Promise<void> => {
      asked = true;
    };
    const restored = bed.restore(backup, bed.path('newest'), {
      newest: { acceptLoss: false, ...collectNever },
      collect,
    });
    await assert.rejects(restored, { code });
    assert.ok(!asked);
  };
  await asking({ seen: [] }, 'backup.newest-unknown');
  await asking({ seen: [newest] }, 'backup.older-than-seen');
  await asking({ seen: [], log: bed.path('nothing') }, 'backup.log-differs');
  await asking({ seen: [newest.replace(/^[^\n]+/, 'another/log')] }, 'backup.log-differs');
  await asking({ seen: ['no checkpoint'] }, 'checkpoint.malformed');
  // The very checkpoint of the backup, from a witness, is enough; a forged one is not.
  await bed.restore(backup, bed.path('seen-own'), { newest: { seen: [own], acceptLoss: false } });
  const forged = own.replace(/— [^\n]+\n$/, '');
  await assert.rejects(
    bed.restore(backup, bed.path('forged'), { newest: { seen: [`${forged.slice(0, -3)}\n`], acceptLoss: false } }),
  );
  await bed.restore(backup, bed.path('accepted'), { newest: { seen: [newest], acceptLoss: true } });
  const last = JSON.parse(readFileSync(bed.path('accepted/keyd/journal'), 'utf8').trim().split('\n').at(-1) ?? '');
  assert.equal(last.acceptedLoss, true);
  assert.ok(last.log.newestSeen > last.log.restored);
});

test('with the newest copy of the published log the restored log goes on from its end, without a fork', async () => {
  await bed.provision('KS-0004');
  await bed.published();
  const copy = bed.path('mirror');
  cpSync(bed.layout.log, copy, { recursive: true });
  const newest = readFileSync(join(copy, 'checkpoint'), 'utf8');
  const to = bed.path('continued');
  const { logEntries } = await bed.restore(backup, to, { newest: { log: copy, seen: [newest], acceptLoss: false } });
  const size = Number(newest.split('\n')[1]);
  assert.equal(logEntries, size);
  assert.equal(readFileSync(join(to, 'keyd', 'checkpoint'), 'utf8'), newest);
  const report = await verifyHistory(new Layout(to), { seen: [newest] });
  assert.equal(report.verdict, 'proven');
  // A copy in which one entry was changed is refused.
  const entries = join(copy, 'tile', 'entries');
  const [partial = ''] = readdirSync(entries);
  const tile = join(
    entries,
    partial,
    readdirSync(join(entries, partial))
      .toSorted((a, b) => Number(a) - Number(b))
      .at(-1) ?? '',
  );
  const bytes = readFileSync(tile);
  bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
  writeFileSync(tile, bytes);
  await assert.rejects(
    bed.restore(backup, bed.path('bad-mirror'), { newest: { log: copy, seen: [], acceptLoss: false } }),
    {
      code: 'backup.log-differs',
    },
  );
  assert.ok(!existsSync(bed.path('bad-mirror')));
});

test('without Keystead, M custodians open a backup with age and the Shamir package alone', async () => {
  const folder = bed.path('by-hand');
  mkdirSync(folder);
  const sh = (command: string): string =>
    execFileSync('bash', ['--norc', '-euc', command], { cwd: folder, encoding: 'utf8' });
  const parts: Uint8Array[] = [];
  for (const name of ['alice', 'carol'] as const) {
    writeFileSync(join(folder, `${name}.key`), `${bed.keys[name]}\n`, { mode: 0o600 });
    const share = backup.manifest.custodians.find((one) => one.name === name)?.share ?? '';
    writeFileSync(join(folder, `${name}.age`), Buffer.from(share, 'base64'));
    const text = sh(`age --decrypt --identity ${name}.key ${name}.age`);
    parts.push(new Uint8Array(Buffer.from(JSON.parse(text).share, 'base64')));
  }
  writeFileSync(join(folder, 'identity'), await combine(parts), { mode: 0o600 });
  const { payload, members } = backup.manifest;
  sh(`tail -c +19 '${backup.path}' | head -c ${payload.bytes} | age --decrypt --identity identity > content`);
  let offset = 0;
  for (const { path, bytes, sha256: hash } of members) {
    assert.match(sh(`tail -c +${1 + offset} content | head -c ${bytes} | sha256sum`), new RegExp(`^${hash} `), path);
    offset += bytes;
  }
  assert.equal(statSync(join(folder, 'content')).size, offset);
});

test('a drill restores all of it, proves it, and leaves nothing', async () => {
  const scratch = bed.path('scratch');
  mkdirSync(scratch);
  const collect = bed.answerBy(backup, 'alice', 'carol');
  const drilled = await drillBackup({ backup, scratch, collect, clock: bed.keyd.clock });
  assert.equal(drilled.members, backup.manifest.members.length);
  assert.ok(drilled.logEntries > 0);
  assert.deepEqual(readdirSync(scratch), []);
  const few = bed.answerBy(backup, 'alice');
  await assert.rejects(drillBackup({ backup, scratch, collect: few, clock: bed.keyd.clock }), {
    code: 'backup.too-few-shares',
  });
  assert.deepEqual(readdirSync(scratch), []);
});

test('after a restore tickets of before are closed, CRL numbers jump, and CRLs from the field stay in force', async () => {
  const own = await BackupBed.make();
  try {
    await own.provision('KS-0001');
    await own.provision('KS-0002', 'batch-2');
    await own.published();
    const made = await own.create();
    // After the backup: a device is stolen, and units are made that will be forgotten.
    await own.rooms.authority.revoke({
      selector: { deviceId: 'KS-0001' },
      reason: 'keyCompromise',
      actor: { kind: 'operator', id: 'ada' },
      requestId: 'stolen',
    });
    await own.provision('KS-0005');
    const field = join(own.layout.crl, 'manufacturing.crl');
    const stolen = [...readCrl(readFileSync(field)).entries.keys()];
    assert.equal(stolen.length, 1);
    cpSync(field, own.path('field.crl'));
    const sealed = readFileSync(join(own.layout.keyd, 'keystore.sealed'));
    await own.closeRooms();
    await own.keyd.stop();
    const { data } = own.layout;
    // Sockets are made at each start, and are no files to copy.
    cpSync(data, own.path('old'), { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
    rmSync(data, { recursive: true });
    const options = {
      backup: made,
      to: data,
      newest: { seen: [], acceptLoss: true },
      collect: own.answerBy(made, 'alice', 'bob'),
      clock: own.keyd.clock,
    };
    await assert.rejects(restoreBackup({ ...options, crls: [join(own.path('old'), 'crl', 'root.crl')] }), {
      code: 'backup.crl-foreign',
    });
    let order: RestoreOrder | undefined;
    const { quorum } = await restoreBackup({
      ...options,
      crls: [own.path('field.crl')],
      onOrder: (it) => {
        order = it;
      },
    });
    assert.deepEqual(quorum.order, order);
    assert.equal(quorum.missing?.code, 'restore-order.too-few');
    const signed = [await own.statement(quorum.order, 'alice'), await own.statement(quorum.order, 'ada')];
    bringStatements(own.layout, signed, own.keyd.clock);
    writeFileSync(join(own.layout.keyd, 'keystore.sealed'), sealed, { mode: 0o600 });
    await own.keyd.start();
    await own.openRooms();

    const entries = own.entries();
    const restored = entries.find(({ type }) => type === 'backup.restored');
    assert.equal(restored?.detail.custodians, 'alice bob');
    assert.deepEqual([restored?.detail.askedBy, restored?.detail.agreedBy], ['ada', 'alice']);
    assert.equal(restored?.detail.acceptedLoss, false);
    assert.deepEqual(
      entries.filter(({ type }) => type === 'backup.restore-refused').map(({ detail }) => detail.code),
      ['backup.crl-foreign'],
    );
    const crl = readCrl(readFileSync(field));
    assert.ok(crl.number > 1_000_000);
    assert.deepEqual([...crl.entries.keys()], stolen);
    assert.equal(own.rooms.authority.statusOf('manufacturing', stolen[0] ?? ('' as never)).status, 'revoked');
    assert.ok(entries.some(({ type, detail }) => type === 'certificate.revoked' && detail.reason === 'keyCompromise'));
    // The batch that was half used, and one that was never shown to this keyd before the backup.
    await assert.rejects(own.provision('KS-0006', 'batch-2'), { code: 'ticket.before-restore' });
    const earlier = await own.keyd.ticket({
      id: 'batch-3',
      notBefore: new Date(own.keyd.clock.now().getTime() - 1000).toISOString(),
    });
    await assert.rejects(
      own.keyd.client.provision({
        ticket: earlier,
        deviceId: 'KS-0007',
        csr: await csrFor('KS-0007'),
        station: 's',
        operator: 'lin',
        line: 'line-1',
        requestId: 'r',
      }),
      { code: 'ticket.before-restore' },
    );
    // It is written down once, however often it starts; and the records are files again.
    await own.published();
    assert.equal(own.entries().filter(({ type }) => type === 'backup.restored').length, 1);
    assert.deepEqual(readdirSync(own.layout.records).toSorted(), [
      'KS-0001.yaml',
      'KS-0001.yaml.sig',
      'KS-0002.yaml',
      'KS-0002.yaml.sig',
    ]);
    // A restored system is backed up and restored like any other.
    const second = await own.create();
    await own.restore(second, own.path('second'));
  } finally {
    await own.remove();
  }
});

test('keyd does not start on a log that is shorter than the restore left it', async () => {
  const own = await BackupBed.make();
  try {
    await own.published();
    const made = await own.create();
    const sealed = readFileSync(join(own.layout.keyd, 'keystore.sealed'));
    const to = own.path('restored');
    await own.restore(made, to);
    await own.closeRooms();
    await own.keyd.stop();
    for (const name of ['journal']) cpSync(join(to, 'keyd', name), join(own.layout.keyd, name));
    writeFileSync(join(own.layout.keyd, 'keystore.sealed'), sealed);
    rmSync(join(own.layout.keyd, 'checkpoint'));
    await assert.rejects(own.keyd.start(), { code: 'keyd.journal-damaged', field: 'leaves' });
  } finally {
    await own.remove();
  }
});
