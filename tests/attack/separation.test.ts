import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { systemClock } from 'keystead/clock/system.ts';
import { readPresence } from 'keystead/keyd/presence.ts';
import { SECURE_HEAP } from 'keystead/start/confinement.ts';
import { runChecklist } from 'keystead/verify/index.ts';
import { Rig } from '../faults/rig.ts';

const MAIN = fileURLToPath(new URL('../../packages/keystead/cli/main.ts', import.meta.url));
const ROOT = process.getuid?.() === 0;
let rig: Rig;
before(async () => {
  rig = await Rig.make();
});
after(() => rig.remove());

function pidOf(name: 'keyd' | 'serve'): number {
  const pid = name === 'keyd' ? readPresence(rig.layout)?.pid : rig.pid('serve');
  assert.ok(pid !== undefined, name);
  return pid;
}

/** A line of /proc/<pid>/status. */
const statusOf = (pid: number, field: string): string =>
  new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
const userOf = (pid: number): { uid: number; gid: number } => ({
  uid: Number(statusOf(pid, 'Uid').split('\t')[0]),
  gid: Number(statusOf(pid, 'Gid').split('\t')[0]),
});

/** What a shell of that user says and whether it succeeded. */
function as(user: { uid: number; gid: number }, command: string): { done: boolean; said: string } {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { ...user, cwd: '/', encoding: 'utf8' });
  return { done: status === 0, said: stdout + stderr };
}

test('TEST-KEY-13 the process with the keys holds no rights: no capabilities, none to gain, no network, no core dumps', () => {
  for (const name of ['keyd', 'serve'] as const) {
    const pid = pidOf(name);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      assert.match(statusOf(pid, set), /^0+$/, `${name} ${set}`);
    assert.equal(statusOf(pid, 'NoNewPrivs'), '1', name);
    assert.equal(Number.parseInt(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8'), 16), 0, name);
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0 +bytes/, name);
  }
  const { isolation } = readPresence(rig.layout) ?? {};
  assert.equal(isolation?.network, 'none');
  assert.equal(isolation?.coreDumps, 'off');
  assert.equal(isolation?.capabilities, false);
});

test('TEST-KEY-13 keyd is in a network namespace of its own, from which not even serve on this machine can be reached', () => {
  const keyd = pidOf('keyd');
  const { https } = rig.world.config.ports;
  const script = `require('net').connect(${https}, '127.0.0.1').on('connect', () => { console.log('reached'); process.exit(); }).on('error', (e) => console.log(e.code))`;
  const here = [process.execPath, '-e', script];
  // An ordinary user enters the namespace of users that his keyd stands in as well.
  const enter = [
    'nsenter',
    `--net=/proc/${keyd}/ns/net`,
    ...(ROOT ? [] : [`--user=/proc/${keyd}/ns/user`, '--preserve-credentials']),
    '--',
  ];
  const run = ([command = '', ...args]: string[]): string =>
    spawnSync(command, args, { encoding: 'utf8' }).stdout.trim();
  assert.equal(run(here), 'reached');
  assert.equal(run([...enter, ...here]), 'ENETUNREACH');
  if (ROOT) assert.notEqual(readlinkSync(`/proc/${keyd}/ns/net`), readlinkSync('/proc/self/ns/net'));
});

test('keyd says so in its status and the checklist sees it, or says what is lacking', async () => {
  const results = await runChecklist(rig.layout, systemClock);
  const check = results.find(({ id }) => id === 'keyd.isolation');
  assert.equal(check?.verdict, ROOT ? 'passed' : 'weak', check?.evidence);
  if (!ROOT) assert.match(check?.evidence ?? '', /keyd and serve are one user/);
  assert.deepEqual(
    results.filter(({ verdict }) => verdict !== 'passed' && verdict !== 'weak').map(({ id }) => id),
    [],
  );
});

// What follows is about two users, and only root can start a process as another. Without root there is one.
if (!ROOT) {
  test('without root keyd and serve are one user, and nothing says otherwise', () => {
    assert.deepEqual(userOf(pidOf('keyd')), userOf(pidOf('serve')));
  });
} else {
  test('TEST-KEY-13 keyd and serve are two users, neither root nor nobody', () => {
    const ids = [userOf(pidOf('keyd')).uid, userOf(pidOf('serve')).uid];
    assert.equal(new Set([...ids, 0, 65_534]).size, 4);
    assert.equal(
      statusOf(pidOf('keyd'), 'Uid')
        .split('\t')
        .filter((id) => id !== String(ids[0])).length,
      0,
    );
  });

  test('TEST-KEY-13 code that runs as serve reads no file of keyd’s, not its memory, and can neither signal nor trace it', () => {
    const serve = userOf(pidOf('serve'));
    const keyd = pidOf('keyd');
    const { layout } = rig;
    for (const name of readdirSync(layout.keyd)) {
      assert.ok(!as(serve, `cat ${join(layout.keyd, name)}`).done, name);
    }
    for (const command of [
      `ls ${layout.keyd}`,
      `ls ${layout.unlock}`,
      `cat ${layout.passphrase('keyd')}`,
      `ls ${layout.operators}`,
      `ls ${layout.offline}`,
      `cat /proc/${keyd}/mem`,
      `cat /proc/${keyd}/environ`,
      `ls /proc/${keyd}/fd`,
      `cat /proc/${keyd}/maps`,
      `kill -0 ${keyd}`,
      `kill -STOP ${keyd}`,
    ]) {
      const { done, said } = as(serve, command);
      assert.ok(!done, command);
      assert.match(said, /[Pp]ermission denied|not permitted/, command);
    }
    // What serve itself has: its records. Were even that refused, the test would prove nothing.
    assert.ok(as(serve, `cat ${layout.database} > /dev/null`).done);
    assert.ok(as(serve, `kill -0 ${pidOf('serve')}`).done);
  });

  test('TEST-KEY-13 it cannot put a socket of its own in the place of keyd’s, nor change what keyd trusts', () => {
    const serve = userOf(pidOf('serve'));
    const { layout } = rig;
    for (const command of [
      `rm ${layout.run}/keyd.sock`,
      `mv ${layout.run}/keyd.sock ${layout.run}/away`,
      `touch ${layout.run}/x`,
      `mv ${layout.run} ${layout.data}/away`,
      `mv ${layout.keyd} ${layout.data}/away`,
      `touch ${layout.trust}/policy.json`,
      `mv ${layout.trust}/policy.json ${layout.trust}/away`,
      `touch ${layout.config}`,
    ]) {
      assert.ok(!as(serve, command).done, command);
    }
  });

  test('TEST-KEY-13 code that runs as keyd reads neither the records nor anybody’s keys', () => {
    const { uid, gid } = userOf(pidOf('keyd'));
    const { layout } = rig;
    const shell = `setpriv --reuid ${uid} --regid ${gid} --groups ${statSync(layout.data).gid} --`;
    const done = (command: string): boolean =>
      spawnSync('sh', ['-c', `${shell} ${command}`], { cwd: '/' }).status === 0;
    assert.ok(done(`cat ${layout.keyd}/journal`));
    for (const command of [
      `cat ${layout.database}`,
      `ls ${layout.log}`,
      `ls ${layout.operators}`,
      `ls ${layout.unlock}`,
      `cat /proc/${pidOf('serve')}/mem`,
      `kill -0 ${pidOf('serve')}`,
    ]) {
      assert.ok(!done(command), command);
    }
  });

  test('TEST-KEY-12 neither process may be dumped or traced: the kernel gives all of its files to root', () => {
    for (const name of ['keyd', 'serve'] as const) {
      const pid = pidOf(name);
      assert.notEqual(userOf(pid).uid, 0);
      // proc(5): so it is for a process whose PR_SET_DUMPABLE is not 1.
      assert.equal(statSync(`/proc/${pid}/maps`).uid, 0, name);
      const user = userOf(pid);
      assert.ok(!as(user, `cat /proc/${pid}/environ`).done, `${name} by its own user`);
    }
  });
}

test('TEST-KEY-12 keyd that is aborted, as a defect would abort it, leaves no core dump, and comes back with all that it had', async () => {
  const before = coreFiles();
  for (const signal of ['SIGABRT', 'SIGSEGV'] as const) {
    process.kill(pidOf('keyd'), signal);
    assert.equal(await rig.ended('keyd'), signal);
    await rig.start('keyd');
  }
  assert.deepEqual(coreFiles(), before);
});

/** Where a kernel whose core_pattern is a name of a file would put one: beside whatever the process stood in. */
function coreFiles(): string[] {
  return [process.cwd(), rig.layout.data, rig.layout.keyd, rig.layout.run, '/']
    .flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
    .filter((path) => /^core(\.\d+)?$/.test(path.split('/').at(-1) ?? ''));
}

/**
 * keyd started so that a core dump is allowed, as by a service manager that was told nothing: what is in it then?
 * Returns the dump and the passphrase and channel key that keyd was given.
 */
async function dumpOf(filter: string): Promise<{ dump: Buffer; secrets: Buffer[] } | undefined> {
  const cwd = join(rig.folder, `dump-${filter}`);
  mkdirSync(cwd);
  const passphrase = readFileSync(rig.layout.passphrase('keyd'), 'utf8').trim();
  const channelKey = SecretBytes.random(32).use(toBase64);
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', ...SECURE_HEAP, MAIN];
  const args = ['keyd', '--data', rig.layout.data, '--secrets-fd', '3', '--with-parent'];
  // As the owner of keyd's directory from the start, so that nothing but the filter stands between.
  const { uid, gid } = statSync(rig.layout.keyd);
  const groups = ['--groups', String(statSync(rig.layout.data).gid)];
  const user = ROOT && uid !== 0 ? ['setpriv', '--reuid', String(uid), '--regid', String(gid), ...groups, '--'] : [];
  if (user.length > 0) spawnSync('chown', [`${uid}`, cwd]);
  const child = spawn('prlimit', ['--core=unlimited', ...user, ...node, ...args], {
    cwd,
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
  });
  const pipe = child.stdio[3];
  if (pipe !== null && pipe !== undefined && 'end' in pipe) pipe.end(JSON.stringify({ passphrase, channelKey }));
  assert.ok(child.stdout);
  await once(createInterface({ input: child.stdout }), 'line');
  // A second opinion: with the usual filter the same process leaves all of its memory.
  if (filter !== 'own') spawnSync('sh', ['-c', `echo ${filter} > /proc/${child.pid}/coredump_filter`]);
  const ended = once(child, 'exit');
  child.kill('SIGABRT');
  await ended;
  const name = readdirSync(cwd).find((one) => one.startsWith('core'));
  const dump = name === undefined ? undefined : readFileSync(join(cwd, name));
  rmSync(cwd, { recursive: true });
  const secrets = [Buffer.from(passphrase), Buffer.from(channelKey), Buffer.from(channelKey, 'base64')];
  return dump === undefined ? undefined : { dump, secrets };
}

test('TEST-KEY-12 a real core dump forced from keyd holds no passphrase, no channel key and no memory at all; the usual filter would leave them', async () => {
  await rig.stop('serve');
  await rig.stop('keyd');
  const toFile = !readFileSync('/proc/sys/kernel/core_pattern', 'utf8').startsWith('|');
  const own = await dumpOf('own');
  const usual = await dumpOf('0x1');
  // A handler behind a pipe takes the dump away: then there is nothing here to look at, and its filter is the proof.
  assert.deepEqual([own !== undefined, usual !== undefined], [toFile, toFile]);
  if (own !== undefined && usual !== undefined) {
    assert.deepEqual(
      own.secrets.map((secret) => own.dump.includes(secret)),
      [false, false, false],
    );
    assert.ok(own.dump.length < 1024 * 1024, `${own.dump.length} bytes`);
    assert.ok(usual.secrets.some((secret) => usual.dump.includes(secret)));
    assert.ok(usual.dump.length > 10 * 1024 * 1024, `${usual.dump.length} bytes`);
  }
});
