import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { randomBytes } from '@keystead/core/crypto';
import { Layout } from 'keystead/files/layout.ts';
import { custodianKeyPath } from 'keystead/start/operators.ts';
import { verifyHistory } from 'keystead/verify/history.ts';
import { Rig } from '../faults/rig.ts';
import { keystead, type Outcome, run } from '../interop/foreign.ts';
import { Custodians, PROGRAM } from './custodians.ts';

let rig: Rig;
let folder: string;
let root: string;
let people: Custodians;
/** A second place, as if on another machine. */
let elsewhere: string;
before(async () => {
  rig = await Rig.make();
  folder = rig.folder;
  root = join(folder, 'root.pem');
  copyFileSync(join(rig.layout.trust, 'root.pem'), root);
  people = new Custodians(rig, root);
  elsewhere = mkdtempSync(join(tmpdir(), 'keystead-restored-'));
});
after(async () => {
  await rig.remove();
  rmSync(elsewhere, { recursive: true, force: true });
});

const path = (name: string): string => join(folder, name);
const backup = (...args: string[]): Promise<Outcome> => keystead(['backup', ...args]);
const create = (out: string, ...more: string[]): Promise<Outcome> =>
  backup('create', '--data', rig.layout.data, '--out', out, ...more);

/** Resolves when the work has begun: its unfinished file or directory is there. */
async function whenThere(name: RegExp): Promise<void> {
  for (let tries = 0; tries < 20_000 && !readdirSync(folder).some((one) => name.test(one)); tries += 1) await pause(1);
}

const entriesOf = (rig_: Rig): { type: string; actor: { id: string }; detail: Record<string, unknown> }[] =>
  rig_.records().entries as never;

test('TEST-KEY-20 asking for the keys is refused with the rule, at every door', async () => {
  for (const args of [['keys'], ['create', '--out', path('k.ksb'), '--include-keys']]) {
    const { status, stderr } = await backup(...args);
    assert.equal(status, 3);
    assert.match(stderr, /no signing key is ever backed up.*REQ-KEY-BAK-01.*\[backup\.signing-key-forbidden\]/);
  }
  const json = await backup('create', '--out', path('k.ksb'), '--include-keys', '--json');
  assert.equal(JSON.parse(json.stdout).error.code, 'backup.signing-key-forbidden');
  const draft = {
    backupId: '00'.repeat(16),
    checkpoint: null,
    payload: { bytes: 1, chunkBytes: 1048576, chunksSha256: '00'.repeat(32), recipient: 'age1' },
    members: [{ path: 'keyd/keystore.sealed', bytes: 1, sha256: '00'.repeat(32) }],
    shares: [],
  };
  const answer = await rig.rest('POST', '/backups', rig.person('pki'), draft);
  assert.equal(answer.status, 403, answer.text);
  assert.equal(JSON.parse(answer.text).error.code, 'backup.signing-key-forbidden');
  const auditor = await rig.rest('POST', '/backups', rig.person('auditor'), draft);
  assert.equal(JSON.parse(auditor.text).error.code, 'access.forbidden');
  const codes = entriesOf(rig).map(({ detail }) => detail?.code);
  assert.ok(codes.includes('backup.signing-key-forbidden') && codes.includes('access.forbidden'));
  assert.ok(!existsSync(path('k.ksb')));
});

test('TEST-KEY-21 a backup made under load is restored by two of three on another machine, starts, and is proven', async (t) => {
  const device = await rig.device('DEV-0001');
  const more = (async () => {
    for (let n = 2; n <= 12; n += 1) await rig.device(`DEV-00${String(n).padStart(2, '0')}`);
  })();
  const file = path('under-load.ksb');
  const made = await create(file);
  assert.equal(made.status, 0, made.stderr);
  await more;
  const verified = await backup('verify', file, '--root', root);
  assert.equal(verified.status, 0, verified.stderr);
  assert.match(verified.stdout, /2 of 3: custodian, custodian-2, custodian-3/);
  assert.equal((await people.openShare(file, 'custodian-2', '--check')).status, 0);
  const other = await people.openShare(
    file,
    'custodian',
    '--key',
    custodianKeyPath(rig.layout, 'custodian-2'),
    '--check',
  );
  assert.match(other.stderr, /\[backup\.key-differs\]/);
  const slip = path('slip');
  assert.equal((await backup('show', file, '--root', root, '--slip', slip)).status, 0);

  await rig.stop('serve');
  await rig.stop('keyd');
  const to = join(elsewhere, 'data');
  const master = join(elsewhere, 'data.unlock', 'keyd');
  mkdirSync(join(elsewhere, 'data.unlock'), { mode: 0o700 });
  const shares = join(elsewhere, 'responses');
  mkdirSync(shares);
  const log = ['--log', rig.layout.log];
  const session = people.session(['restore', file, '--to', to, '--master-out', master, ...log], shares);
  writeFileSync(join(shares, 'a-note.txt'), 'not a response');
  await session.recipient();
  const order = `${shares}.order.json`;
  const statement = (who: string): string => join(shares, `${who}.statement`);
  assert.equal((await people.signRestore(order, 'pki', statement('pki'))).status, 0);
  await session.answer(slip, 'custodian-3', 'custodian');
  assert.equal(await session.ended, 0, JSON.stringify(session.lines));
  const { quorum } = session.lines.at(-1) as { quorum: { needed: number; missing: { code: string } } };
  assert.deepEqual([quorum.needed, quorum.missing.code], [1, 'restore-order.too-few']);
  const refused = session.lines.find((line) => 'refused' in line) as { error: { code: string } } | undefined;
  assert.equal(refused?.error.code, 'backup.share-malformed');
  assert.deepEqual((session.lines.at(-1) as { custodians: string[] }).custodians.toSorted(), [
    'custodian',
    'custodian-3',
  ]);

  // What is not in a backup comes from where it is kept: the keys, and in this demonstration the people's.
  copyFileSync(join(rig.layout.keyd, 'keystore.sealed'), join(to, 'keyd', 'keystore.sealed'));
  cpSync(rig.layout.operators, join(to, 'operators'), { recursive: true });
  for (const who of ['operators', 'devices'] as const) {
    copyFileSync(rig.layout.passphrase(who), join(elsewhere, 'data.unlock', who));
  }
  // One asks and nobody has agreed yet: what is brought too early is told so.
  const early = await backup('admit', statement('pki'), '--data', to);
  assert.match(early.stderr, /0 of 1 approvals, besides pki who asks.*\[restore-order\.too-few\]/s);
  const agreed = await people.signRestore(order, 'custodian-2', statement('custodian-2'));
  assert.match(agreed.stdout, /A RESTORE.*custodian-2 agrees/s);
  const admitted = await backup('admit', statement('custodian-2'), statement('pki'), '--data', to);
  assert.equal(admitted.status, 0, admitted.stderr);
  const restored = await Rig.make({ folder: elsewhere });
  t.after(() => restored.remove());
  const audit = await keystead(['audit', 'verify', '--data', to]);
  assert.equal(audit.status, 0, audit.stdout);
  const entries = entriesOf(restored);
  const entry = entries.find(({ type }) => type === 'backup.restored');
  assert.equal(entry?.detail.acceptedLoss, false);
  assert.deepEqual([entry?.detail.askedBy, entry?.detail.agreedBy], ['pki', 'custodian-2']);
  assert.ok(
    entries.some(({ type, detail }) => type === 'backup.restore-refused' && detail.code === 'backup.share-malformed'),
  );
  assert.ok(entries.some(({ type, actor }) => type === 'backup.created' && actor.id === 'pki'));
  await restored.ldevid('DEV-0001', device);
  const closed = await restored.unit('batch-devices', 'DEV-0050', Buffer.from('3000', 'hex'));
  assert.notEqual(closed.status, 200);

  // And a drill on it, on record; one with too few is, too.
  const again = join(elsewhere, 'again.ksb');
  const second = await keystead(['backup', 'create', '--data', to, '--out', again]);
  assert.equal(second.status, 0, second.stderr);
  const responses = join(elsewhere, 'drill');
  const drill = people.session(['drill', again, '--data', to, '--scratch', elsewhere], responses);
  await drill.answer(again, 'custodian', 'custodian-2');
  assert.equal(await drill.ended, 0, JSON.stringify(drill.lines));
  const few = await keystead([
    'backup',
    'drill',
    again,
    '--data',
    to,
    '--shares',
    join(elsewhere, 'none'),
    '--wait',
    '0',
    '--root',
    root,
  ]);
  assert.equal(few.status, 3);
  assert.match(few.stderr, /\[backup\.too-few-shares\]/);
  const drills = entriesOf(restored).filter(({ type }) => type.startsWith('backup.drill'));
  assert.deepEqual(
    drills.map(({ type, detail }) => [type, detail.custodians]),
    [
      ['backup.drilled', 'custodian custodian-2'],
      ['backup.drill-refused', ''],
    ],
  );
  assert.deepEqual(
    readdirSync(elsewhere).filter((name) => name.includes('drill-')),
    [],
  );
  await restored.stop('serve');
  await restored.stop('keyd');
  await rig.start('keyd');
  await rig.start('serve');
});

test('kill -9 in the middle of a backup leaves a whole one or none, and the next one clears what it left', async () => {
  const out = path('killed.ksb');
  for (let n = 0; n < 4; n += 1) {
    rmSync(out, { force: true });
    const args = [...PROGRAM, 'backup', 'create', '--data', rig.layout.data, '--out', out];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await Promise.race([ended, whenThere(/^\.killed\.ksb\..*\.tmp$/)]);
    await pause(n * 20 + Number(randomBytes(1)[0]) / 16);
    child.kill('SIGKILL');
    await ended;
    if (existsSync(out)) assert.equal((await backup('verify', out, '--root', root)).status, 0);
  }
  rmSync(out, { force: true });
  assert.equal((await create(out)).status, 0);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
  );
  assert.deepEqual(
    readdirSync(join(rig.layout.data, 'store')).filter((name) => name.startsWith('.backup')),
    [],
  );
});

test('kill -9 in the middle of a restore leaves a whole one or none', async () => {
  const file = path('killed.ksb');
  for (let n = 0; n < 2; n += 1) {
    const to = path(`restored-${n}`);
    const shares = path(`shares-${n}`);
    const session = people.session(['restore', file, '--to', to, '--accept-loss'], shares);
    await session.answer(file, 'custodian', 'custodian-2');
    await Promise.race([session.ended, whenThere(new RegExp(`^\\.restored-${n}\\..*\\.restoring$`))]);
    await pause(n * 60 + Number(randomBytes(1)[0]) / 8);
    session.child.kill('SIGKILL');
    await session.ended;
    if (existsSync(to)) assert.equal((await verifyHistory(new Layout(to))).verdict, 'proven');
  }
});

test('a full disk is told as such, and nothing of what did not fit is left', async () => {
  const disk = path('small-disk');
  mkdirSync(disk);
  const file = path('killed.ksb');
  const command = (...args: string[]): string => `'${process.execPath}' ${PROGRAM.join(' ')} backup ${args.join(' ')}`;
  const onSmallDisk = (script: string): Promise<Outcome> =>
    run('unshare', [
      ...(process.getuid?.() === 0 ? ['-m'] : ['-rm']),
      'sh',
      '-c',
      `mount -t tmpfs -o size=96k tmpfs '${disk}' || exit 99; ${script}; status=$?; ls -A '${disk}' >&2; exit $status`,
    ]);
  const made = await onSmallDisk(command('create', '--data', rig.layout.data, '--out', `${disk}/b.ksb`, '--json'));
  assert.equal(made.status, 4, made.stderr);
  assert.equal(JSON.parse(made.stdout).error.code, 'backup.disk-full');
  assert.equal(made.stderr, '');
  const shares = path('full-shares');
  const script = command(
    'restore',
    file,
    '--to',
    `${disk}/to`,
    '--shares',
    shares,
    '--root',
    root,
    '--accept-loss',
    '--json',
    '--wait',
    '20',
  );
  const restoring = onSmallDisk(`${script} > '${path('session.json')}'`);
  while (!existsSync(path('session.json')) || readFileSync(path('session.json'), 'utf8') === '') await pause(50);
  const [line = ''] = readFileSync(path('session.json'), 'utf8').split('\n');
  for (const who of ['custodian', 'custodian-2']) {
    const to = JSON.parse(line).session.recipient;
    assert.equal((await people.openShare(file, who, '--to', to, '--out', join(shares, who))).status, 0);
  }
  const { status, stderr } = await restoring;
  assert.equal(status, 4, stderr);
  assert.match(readFileSync(path('session.json'), 'utf8'), /backup\.disk-full/);
  assert.deepEqual(
    stderr.split('\n').filter((name) => name !== '' && !name.endsWith('.jsonl')),
    [],
  );
});

test("a custodian's key of each kind is made under a passphrase and opens with the tools of its kind", async () => {
  const input = 'a passphrase of some words';
  const make = (type: string): Promise<Outcome> =>
    keystead(['backup', 'custodian-key', '--type', type, '--out', path(`${type}.key`), '--passphrase-fd', '0'], {
      input,
    });
  const p256 = await make('p256');
  assert.match(p256.stdout, /^age1tag1/);
  const shown = await run('openssl', ['pkey', '-in', path('p256.key'), '-passin', 'stdin', '-noout', '-text_pub'], {
    input,
  });
  assert.match(shown.stdout, /prime256v1/);
  const x25519 = await make('x25519');
  assert.match(x25519.stdout, /^age1[^t]/);
  writeFileSync(path('plain'), 'a share');
  execFileSync('age', ['--encrypt', '--recipient', x25519.stdout.trim(), '--output', path('to-me.age'), path('plain')]);
  // age asks on the terminal: script gives it one.
  const decrypt = `age --decrypt --identity '${path('x25519.key')}' --output '${path('opened')}' '${path('to-me.age')}'`;
  await run('script', ['--quiet', '--command', decrypt, '/dev/null'], { input: `${input}\n` });
  assert.equal(readFileSync(path('opened'), 'utf8'), 'a share');
  assert.match((await make('p256')).stderr, /\[backup\.exists\]/);
});
