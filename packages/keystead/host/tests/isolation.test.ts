import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { type Isolation, readIsolation } from '../isolation.ts';

const KERNEL: Readonly<Record<string, string>> = {
  '/proc/self/status': 'CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nVmLck:\t  131072 kB\n',
  '/proc/self/limits': 'Max core file size        0                    0                    bytes\n',
  '/proc/self/coredump_filter': '00000000\n',
  '/proc/sys/kernel/core_pattern': 'core\n',
  '/proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
  '/proc/self/cgroup': '0::/system.slice/keystead-keyd.service\n',
};
const SWAP = `${KERNEL['/proc/swaps']}/dev/sda2 partition 1 0 -2\n`;
const MOST = '/sys/fs/cgroup/system.slice/keystead-keyd.service/memory.swap.max';

const seen = (change: Readonly<Record<string, string | undefined>> = {}): Isolation =>
  readIsolation((path) => ({ ...KERNEL, ...change })[path]);

test('TEST-KEY-13 capabilities and the right to gain some are read from the kernel; what it does not tell is taken for the worse', () => {
  const { capabilities, noNewPrivileges } = seen();
  assert.deepEqual([capabilities, noNewPrivileges], [false, true]);
  assert.equal(
    seen({ '/proc/self/status': 'CapPrm:\t0000000000000400\nCapEff:\t0000000000000000\n' }).capabilities,
    true,
  );
  assert.deepEqual(
    [undefined, ''].map((status) => seen({ '/proc/self/status': status }).capabilities),
    [true, true],
  );
});

test('TEST-KEY-12 core dumps are off with a limit of 0, unless a handler behind a pipe is called all the same', () => {
  const piped = { '/proc/sys/kernel/core_pattern': '|/usr/lib/systemd/systemd-coredump %P\n' };
  const unlimited = {
    '/proc/self/limits': 'Max core file size        0                    unlimited            bytes\n',
  };
  const full = { '/proc/self/coredump_filter': '00000033\n' };
  assert.equal(seen().coreDumps, 'off');
  assert.equal(seen(piped).coreDumps, 'empty');
  assert.equal(seen(unlimited).coreDumps, 'empty');
  assert.equal(seen({ ...piped, ...full }).coreDumps, 'on');
  assert.equal(seen({ ...unlimited, ...full }).coreDumps, 'on');
  assert.equal(seen({ '/proc/self/limits': undefined, '/proc/self/coredump_filter': undefined }).coreDumps, 'on');
});

test('swap is none, forbidden to the group of the process, possible, or not known', () => {
  assert.equal(seen().swap, 'none');
  assert.equal(seen({ '/proc/swaps': SWAP, [MOST]: '0\n' }).swap, 'forbidden');
  assert.equal(seen({ '/proc/swaps': SWAP, [MOST]: 'max\n' }).swap, 'possible');
  assert.equal(seen({ '/proc/swaps': SWAP }).swap, 'possible');
  assert.equal(seen({ '/proc/swaps': undefined }).swap, 'unknown');
});

test('TEST-KEY-12 with a secure heap that could be locked, private keys lie in locked memory; without one or the lock it says so', () => {
  const url = new URL('../isolation.ts', import.meta.url).href;
  const script = `
    import { generateKeyPairSync, secureHeapUsed } from 'node:crypto';
    const { readIsolation } = await import(${JSON.stringify(url)});
    const before = secureHeapUsed()?.used ?? 0;
    const kept = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('ed25519')];
    console.log(readIsolation().keyMemory, kept.length, (secureHeapUsed()?.used ?? 0) > before);`;
  // root may lock as much as it likes, unless it lays that down.
  const asOthers = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-ipc_lock', '--'] : [];
  const run = (limit: string, ...flags: string[]): string =>
    execFileSync(
      'prlimit',
      [`--memlock=${limit}:${limit}`, ...asOthers, process.execPath, ...flags, '--input-type=module', '-e', script],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    ).trim();
  assert.equal(run('1048576', '--secure-heap=1048576'), 'locked 2 true');
  assert.equal(run('4096', '--secure-heap=1048576'), 'not locked 2 true');
  assert.equal(run('1048576'), 'not locked 2 false');
});
