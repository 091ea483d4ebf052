import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type NetworkState, readNetwork, requireNoNetwork } from '../network.ts';
import { PASSPHRASE, Rehearsal } from './rehearsal.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
let rehearsal: Rehearsal;
before(async () => {
  rehearsal = await Rehearsal.make();
});
after(() => rehearsal.remove());

/** Runs the real program in a new network namespace, after `prepare` (shell) has set that up. */
function ceremonyIn(name: string, prepare: string, ...more: string[]) {
  const out = join(rehearsal.dir, name, 'out');
  const offline = join(rehearsal.dir, name, 'safe');
  const args = [
    '--request',
    rehearsal.requestPath,
    '--policy',
    rehearsal.policyPath,
    '--out',
    out,
    '--offline',
    offline,
  ];
  const run = spawnSync(
    'unshare',
    // As an ordinary user a network namespace needs a user namespace around it; root takes the same way.
    ['--net', '--map-root-user', '--', 'sh', '-euc', `${prepare}\nexec "$@"`, 'sh', process.execPath, MAIN, ...args]
      .concat(['--unattended', '--witness', 'Ada Lovelace', '--passphrase-fd', '0'])
      .concat(more),
    { input: PASSPHRASE, encoding: 'utf8' },
  );
  return { status: run.status, stdout: run.stdout, stderr: run.stderr, out, offline };
}

// Kernels differ in the makes of virtual interface that they have; which one it is does not matter.
const interfaceUp = 'for kind in dummy veth bridge ifb; do ip link add test0 type $kind 2>/dev/null && break; done\n';

test('TEST-KEY-02 a ceremony runs in an empty network namespace', () => {
  const run = ceremonyIn('empty', ':');
  assert.equal(run.status, 0, run.stderr);
  assert.ok(existsSync(join(run.out, 'transcript.sig')));
  assert.deepEqual(readdirSync(run.offline).sort(), ['root.sealed', 'signing-root.sealed']);
  assert.match(run.stdout, /no interface is up and no route exists/);
});

test('TEST-KEY-02 a ceremony is refused where a default route exists, and makes nothing', () => {
  const run = ceremonyIn(
    'route',
    `${interfaceUp}ip link set test0 up
    ip address add 192.0.2.2/24 dev test0
    ip route add default via 192.0.2.1`,
  );
  assert.equal(run.status, 3);
  assert.match(run.stderr, /ceremony\.network-present/);
  assert.match(run.stderr, /interfaces up: test0; routes: default via test0/);
  assert.equal(existsSync(run.out), false);
  assert.equal(existsSync(run.offline), false);
});

test('TEST-KEY-02 a ceremony is refused where an interface is merely up, without an address or a route', () => {
  const run = ceremonyIn(
    'up',
    `${interfaceUp}sysctl -qw net.ipv6.conf.test0.disable_ipv6=1 2>/dev/null || echo 1 > /proc/sys/net/ipv6/conf/test0/disable_ipv6 2>/dev/null || :
    ip link set test0 up`,
  );
  assert.equal(run.status, 3);
  assert.match(run.stderr, /network: .*interfaces up: test0/);
  assert.equal(existsSync(run.offline), false);
});

test('a route of IPv6 to one net alone is refused, and named', () => {
  const run = ceremonyIn(
    'ipv6',
    `${interfaceUp}ip link set test0 up
    ip -6 route add 2001:db8::/32 dev test0`,
  );
  assert.equal(run.status, 3);
  assert.match(run.stderr, /2001:0db8:0000:0000:0000:0000:0000:0000\/32 via test0/);
  assert.equal(existsSync(run.offline), false);
});

test('an interface that is down is no network: a laptop with its radio off may hold a ceremony', () => {
  const run = ceremonyIn('down', interfaceUp);
  assert.equal(run.status, 0, run.stderr);
});

test('a route over loopback alone is refused too', () => {
  const run = ceremonyIn(
    'loopback',
    'ip link set lo up\nip address add 192.0.2.2/24 dev lo\nip route add default dev lo',
  );
  assert.equal(run.status, 3);
  assert.match(run.stderr, /routes: default via lo/);
});

test('a network that was accepted stands in the transcript as NOT OFFLINE', () => {
  const run = ceremonyIn('accepted', `${interfaceUp}ip link set test0 up`, '--accept-network');
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /NOT OFFLINE: a network was present and accepted/);
});

/** What the kernel shows on a machine with one interface, and in an empty namespace. */
const TABLES = {
  connected: {
    '/proc/net/igmp':
      'Idx\tDevice    : Count Querier\n1\tlo        :     1      V3\n\t\t\t\t010000E0\n4\teth0      :     1      V3\n',
    '/proc/net/if_inet6': 'fe80000000000000b8be26fffeb2b9e3 04 40 20 80     eth0\n',
    '/proc/net/route': 'Iface\tDestination\tGateway\neth0\t00000000\t010200C0\t0003\neth0\t000200C0\t00000000\t0001\n',
    '/proc/net/ipv6_route': `${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 fd${'0'.repeat(29)}1 00000400 00000002 00000000 00000003     eth0\n`,
  },
  empty: {
    '/proc/net/igmp': 'Idx\tDevice    : Count Querier\n',
    '/proc/net/if_inet6': '',
    '/proc/net/route': '',
    '/proc/net/ipv6_route': `${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 ${'0'.repeat(32)} ffffffff 00000001 00000000 00200200       lo\n`,
  },
} as const;

const reading = (tables: Record<string, string>) => (path: string) => {
  const text = tables[path];
  if (text === undefined) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' });
  return text;
};
const none = () => [];

test('the tables of the kernel are read into interfaces and routes', () => {
  assert.deepEqual(readNetwork(reading(TABLES.connected), none), {
    interfaces: ['eth0'],
    routes: ['default via eth0', '192.0.2.0 via eth0', 'default via eth0'],
  } satisfies NetworkState);
  assert.deepEqual(readNetwork(reading(TABLES.empty), none), { interfaces: [], routes: [] });
});

test('each single sign of a network is enough to refuse', () => {
  const signs = Object.entries(TABLES.connected).map(([path, text]) => ({ ...TABLES.empty, [path]: text }));
  for (const tables of signs) {
    assert.throws(() => requireNoNetwork(readNetwork(reading(tables), none)), {
      code: 'ceremony.network-present',
      field: 'network',
    });
  }
  assert.throws(() => requireNoNetwork(readNetwork(reading(TABLES.empty), () => ['wlan0'])), /wlan0/);
});

test('a kernel that does not tell is a reason to refuse, but one without IPv6 is not', () => {
  const { '/proc/net/ipv6_route': _route, '/proc/net/if_inet6': _addresses, ...withoutIpv6 } = TABLES.empty;
  assert.deepEqual(readNetwork(reading(withoutIpv6), none), { interfaces: [], routes: [] });
  for (const path of ['/proc/net/igmp', '/proc/net/route'] as const) {
    const { [path]: _left, ...tables } = TABLES.empty;
    assert.throws(() => readNetwork(reading(tables), none), { code: 'ceremony.network-unknown', field: path });
  }
});
