import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { toBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { Layout } from '../../files/layout.ts';
import { KeydClient } from '../../keyd-client/index.ts';
import { readJournal } from '../read-journal.ts';
import { keydSocketPath, makeSocketDirectory } from '../socket-path.ts';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey } from './bed.ts';

const RUN = `
const { runKeyd } = await import(process.argv[1]);
await runKeyd({ data: process.argv[2], secretsFd: 3, withParent: process.argv[3] === 'with-parent' });
process.exit(0);
`;
const MODULE = new URL('../main.ts', import.meta.url).href;

let bed: KeydBed;
let ticket: string;
const running = new Set<ChildProcess>();
before(async () => {
  bed = await KeydBed.make();
  // The process has the machine's clock.
  bed.clock.set(new Date());
  ticket = await bed.ticket({ quota: 20 });
  await bed.stop();
});
after(async () => {
  for (const child of running) child.kill('SIGKILL');
  await bed.remove();
});

interface Started {
  readonly child: ChildProcess;
  readonly client: KeydClient;
  readonly ready: { pid: number; socket: string };
  readonly log: string[];
}

function launch(secrets: unknown, withParent = false): { child: ChildProcess; log: string[] } {
  const args = ['--input-type=module', '-e', RUN, MODULE, bed.rehearsal.layout.data, withParent ? 'with-parent' : ''];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const log: string[] = [];
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const pipe = child.stdio[3];
  if (pipe !== null && pipe !== undefined && 'end' in pipe) pipe.end(JSON.stringify(secrets));
  return { child, log };
}

async function start(withParent = false): Promise<Started> {
  const channelKey = SecretBytes.random(32);
  const { child, log } = launch({ passphrase: KEYD_PASSPHRASE, channelKey: channelKey.use(toBase64) }, withParent);
  if (child.stdout === null) throw new Error('no standard output');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const ready = JSON.parse(line) as { pid: number; socket: string };
  return { child, client: await KeydClient.connect(ready.socket, channelKey), ready, log };
}

const exitOf = async (child: ChildProcess): Promise<unknown> => {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode;
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return code ?? signal;
};

const provision = async (client: KeydClient, n: number) => {
  const deviceId = `KS-${String(n).padStart(4, '0')}`;
  const unit = { ticket, deviceId, station: 's', operator: 'lin', line: 'line-1', requestId: `r${n}` };
  return client.provision({ ...unit, csr: await csrFor(deviceId, makeKey()) });
};

test('keyd runs by itself, behind a socket that only its user can reach, and leaves no secret where others look', async () => {
  const { child, client, ready, log } = await start();
  assert.equal(ready.pid, child.pid);
  assert.equal(statSync(dirname(ready.socket)).mode & 0o777, 0o700);
  assert.equal(statSync(ready.socket).mode & 0o777, 0o600);
  await provision(client, 1);
  for (const file of ['cmdline', 'environ']) {
    assert.ok(!readFileSync(`/proc/${child.pid}/${file}`, 'latin1').includes(KEYD_PASSPHRASE));
  }
  // core(5): no kind of mapping is written to a core dump.
  assert.equal(Number.parseInt(readFileSync(`/proc/${child.pid}/coredump_filter`, 'utf8'), 16), 0);
  await assert.rejects(provision(client, 200), { code: 'ticket.device-forbidden' });
  client.close();
  child.kill('SIGTERM');
  assert.equal(await exitOf(child), 0);
  const text = log.join('\n');
  assert.match(text, /ticket\.device-forbidden/);
  assert.ok(!text.includes(KEYD_PASSPHRASE));
  for (const line of log) assert.equal(typeof JSON.parse(line), 'object');
});

test('a second keyd on the same directory does not start, and the first goes on', async () => {
  const { child, client } = await start();
  const second = launch({ passphrase: KEYD_PASSPHRASE, channelKey: SecretBytes.random(32).use(toBase64) });
  assert.notEqual(await exitOf(second.child), 0);
  assert.match(second.log.join('\n'), /keyd\.already-running/);
  await client.status();
  client.close();
  child.kill('SIGTERM');
  assert.equal(await exitOf(child), 0);
});

test('secrets that are wrong or missing stop it, without a word of them', async () => {
  const channelKey = SecretBytes.random(32).use(toBase64);
  const wrong: [unknown, RegExp][] = [
    [{ passphrase: 'hunter2 hunter2', channelKey }, /keystore\.wrong-passphrase/],
    [{ passphrase: 'hunter2 hunter2', channelKey: 'AAAA' }, /keyd\.secrets-malformed/],
    [{ passphrase: 'hunter2 hunter2' }, /keyd\.secrets-malformed/],
    ['hunter2 hunter2', /keyd\.secrets-malformed/],
  ];
  for (const [secrets, code] of wrong) {
    const { child, log } = launch(secrets);
    assert.notEqual(await exitOf(child), 0);
    assert.match(log.join('\n'), code);
    assert.doesNotMatch(log.join('\n'), /hunter2/);
  }
});

test('told to stop, it answers what is under way and takes nothing new', async () => {
  const { child, client } = await start();
  const asked = Array.from({ length: 4 }, (_, i) => provision(client, 2 + i));
  // Their answers are on the way when the signal comes.
  await client.status();
  child.kill('SIGTERM');
  const results = await Promise.allSettled(asked);
  assert.equal(await exitOf(child), 0);
  const serials = new Set(
    readJournal(join(bed.dir, 'journal')).entries.flatMap((e) =>
      e.kind === 'certificate' ? [e.serial as string] : [],
    ),
  );
  for (const result of results) {
    if (result.status === 'fulfilled') assert.ok(serials.has(result.value.serial));
    else assert.match(result.reason.code, /^keyd\.(stopping|unreachable)$/);
  }
  await assert.rejects(client.status(), { code: 'keyd.unreachable' });
  client.close();
});

test('with its parent gone it ends by itself', async () => {
  const { child, client } = await start(true);
  child.stdin?.end();
  assert.equal(await exitOf(child), 0);
  client.close();
});

test('TEST-KEY-13 killed at any moment while units are provisioned, it has never given more than the quota, and forgets nothing that it answered', async () => {
  const acknowledged = new Map<string, string>();
  for (let round = 0; round < 5; round += 1) {
    const { child, client } = await start();
    const asked = Array.from({ length: 12 }, async (_, i) => {
      const n = 10 + round * 12 + i;
      try {
        const { serial } = await provision(client, n);
        acknowledged.set(`KS-${String(n).padStart(4, '0')}`, serial);
      } catch (error) {
        assert.ok(error instanceof KeysteadError);
        assert.match(error.code, /^(ticket\.quota-exhausted|keyd\.unreachable)$/);
      }
    });
    // The moment of the kill moves through the work: after that many units have been answered.
    const enough = acknowledged.size + round;
    while (acknowledged.size < enough && !(await isDone(asked))) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    await exitOf(child);
    await Promise.all(asked);
    client.close();
    const { entries } = readJournal(join(bed.dir, 'journal'));
    const units = new Map(
      entries.flatMap((e) => (e.kind === 'certificate' && e.ticket ? [[e.subject, e.serial]] : [])),
    );
    for (const [device, serial] of acknowledged) assert.equal(units.get(device), serial);
    assert.ok(units.size <= 20, `${units.size} units on a quota of 20`);
  }
  const { child, client } = await start();
  for (let n = 70; n < 95; n += 1) {
    await provision(client, n).catch((error) => assert.equal(error.code, 'ticket.quota-exhausted'));
  }
  const { tickets } = await client.status();
  assert.deepEqual(tickets, [{ id: 'batch-1', units: 20, quota: 20 }]);
  client.close();
  child.kill('SIGTERM');
  assert.equal(await exitOf(child), 0);
});

const isDone = (asked: readonly Promise<void>[]): Promise<boolean> =>
  Promise.race([
    Promise.all(asked).then(() => true),
    new Promise<boolean>((resolve) => setImmediate(() => resolve(false))),
  ]);

test('a data directory with a path that is too long for a socket is served all the same, and closed to others', async () => {
  const base = mkdtempSync(join(tmpdir(), 'keystead-long-'));
  try {
    const layout = new Layout(join(base, 'x'.repeat(120)));
    assert.equal(makeSocketDirectory(layout.run), 0o600);
    assert.equal(statSync(layout.run).mode & 0o777, 0o700);
    const path = keydSocketPath(layout);
    assert.ok(Buffer.byteLength(path) <= 100);
    const server = createServer((socket) => socket.end('reached')).listen(path);
    await once(server, 'listening');
    const [said] = await once(createConnection(keydSocketPath(layout)), 'data');
    assert.equal(String(said), 'reached');
    assert.ok(existsSync(join(layout.run, 'keyd.sock')));
    server.close();
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
});

test('keyd takes no directory for its socket that others could list or write in, and none that is another user’s', () => {
  const base = mkdtempSync(join(tmpdir(), 'keystead-open-'));
  try {
    for (const [mode, socket] of [
      [0o700, 0o600],
      [0o2710, 0o660],
      [0o755, undefined],
      [0o720, undefined],
      [0o740, undefined],
      [0o701, undefined],
    ] as const) {
      const dir = join(base, mode.toString(8));
      mkdirSync(dir);
      chmodSync(dir, mode);
      if (socket === undefined) assert.throws(() => makeSocketDirectory(dir), { code: 'keyd.directory-exposed' });
      else assert.equal(makeSocketDirectory(dir), socket);
    }
    const linked = join(base, 'linked');
    symlinkSync(join(base, '700'), linked);
    assert.throws(() => makeSocketDirectory(linked), { code: 'keyd.directory-exposed' });
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
});
