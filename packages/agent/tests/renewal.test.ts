import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { SimulatedClock } from '@keystead/core/clock';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import {
  connectMutual,
  type DeviceState,
  EstClient,
  EstRefusal,
  HttpOverTls,
  makeKeyAndCsr,
  type RenewalEvent,
  RenewalLoop,
  type RenewalOptions,
  renewalTime,
  type Timers,
  verifyPeer,
} from '../index.ts';
import { TestEstServer } from './est-server.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { provisionedDevice } from './provisioned-device.ts';

const clean: (() => unknown)[] = [];
after(async () => {
  for (const act of clean.reverse()) await act();
});

/** Timers on the simulated clock: nothing waits, time is moved to the next alarm. */
class SimulatedTimers implements Timers {
  readonly #clock: SimulatedClock;
  #alarm: { at: number; act: () => void } | undefined;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  after(ms: number, act: () => void): () => void {
    const alarm = { at: this.#clock.now().getTime() + ms, act };
    this.#alarm = alarm;
    return () => {
      if (this.#alarm === alarm) this.#alarm = undefined;
    };
  }

  get next(): number | undefined {
    return this.#alarm?.at;
  }

  /** Moves the clock to the alarm and rings it. */
  ring(): void {
    const alarm = this.#alarm;
    if (alarm === undefined) throw new Error('no alarm is set');
    this.#alarm = undefined;
    if (alarm.at > this.#clock.now().getTime()) this.#clock.set(new Date(alarm.at));
    alarm.act();
  }
}

interface Bench {
  readonly fleet: Fleet;
  readonly server: TestEstServer;
  readonly state: DeviceState;
  readonly est: EstClient;
  readonly events: RenewalEvent[];
  readonly loop: (options?: Partial<RenewalOptions>) => RenewalLoop;
  readonly timers: SimulatedTimers;
}

async function bench(deviceId: string): Promise<Bench> {
  const fleet = new Fleet();
  const server = await TestEstServer.start(fleet);
  const { state, remove } = await provisionedDevice(fleet, deviceId);
  clean.push(() => server.stop(), remove);
  const est = new EstClient({
    url: server.url,
    clock: fleet.clock,
    anchors: () => state.anchors,
    intermediates: () => state.intermediates,
  });
  const events: RenewalEvent[] = [];
  const timers = new SimulatedTimers(fleet.clock);
  const loop = (options: Partial<RenewalOptions> = {}): RenewalLoop =>
    new RenewalLoop({
      state,
      est,
      clock: fleet.clock,
      timers,
      graceSeconds: 3600,
      // A real handshake and a real request with the new credential, judged on the other side.
      prove: async (identity) => {
        const rules = { clock: fleet.clock, anchors: state.anchors, intermediates: state.intermediates };
        const http = new HttpOverTls(
          await connectMutual({ host: 'localhost', port: server.port }, identity, rules),
          'localhost',
        );
        const answer = await http.send({ method: 'GET', path: '/.well-known/est/cacerts' });
        http.close();
        assert.equal(answer.status, 200);
      },
      onEvent: (event) => events.push(event),
      ...options,
    });
  return { fleet, server, state, est, events, loop, timers };
}

/** Whether the device could serve at this moment: its current credential is judged as a peer would. */
async function serves({ fleet, state }: Bench): Promise<boolean> {
  const current = state.credential('current');
  if (current === undefined) return false;
  const verdict = await verifyPeer([current.certificate, ...current.chain], {
    clock: fleet.clock,
    anchors: [fleet.root.certificate],
    issuers: [fleet.operational.certificate],
    extKeyUsage: 'clientAuth',
    expected: { device: true, deviceId: state.deviceId },
  });
  return verdict.ok;
}

/** Waits for the step that an alarm began, by its outcome, not by time. */
async function ring(device: Bench): Promise<void> {
  device.timers.ring();
  while (device.timers.next === undefined) await new Promise((resolve) => setImmediate(resolve));
}

test('TEST-KEY-14 a device renews itself through ten lifetimes without a gap, each time with a new key', async () => {
  const device = await bench('pump-14');
  const { fleet, state, events, timers } = device;
  const loop = device.loop();
  loop.start();
  await ring(device);
  const began = fleet.clock.now().getTime();
  const keys = new Set<string>();
  const parts: number[] = [];
  while (fleet.clock.now().getTime() < began + 10 * 90_000) {
    assert.ok(await serves(device));
    const { certificate } = state.identity('current');
    const { notBefore, notAfter, spki } = readCertificate(certificate);
    keys.add(spkiSha256(spki));
    const due = timers.next ?? 0;
    parts.push((due - notBefore.getTime()) / (notAfter.getTime() - notBefore.getTime()));
    // Just before the alarm the old certificate must still hold: no moment lies between two alarms unlooked at.
    assert.ok(due < notAfter.getTime());
    await ring(device);
  }
  await loop.stop();
  assert.ok(events.length >= 13, `${events.length} certificates in ten lifetimes`);
  assert.ok(
    events.every((event) => event.type === 'enrolled' || event.type === 'renewed'),
    JSON.stringify(events),
  );
  assert.equal(keys.size, events.length - 1, 'every certificate has a key of its own');
  const [earliest = 1, ...others] = parts;
  assert.ok(earliest >= 0 && earliest <= 0.75, `the first was renewed at ${earliest} of its life`);
  for (const part of others) assert.ok(part >= 0.5 && part <= 0.75, `renewed at ${part} of the life`);
  assert.ok(Math.max(...others) - Math.min(...others) > 0.02, 'the points are spread');
  const first = device.server.requests.filter(({ path }) => path.endsWith('simpleenroll'));
  assert.equal(first.length, 1, 'the IDevID is used once');
});

test('TEST-KEY-14 a device that was off past its end recovers by its IDevID within the grace period', async () => {
  const device = await bench('pump-late');
  const loop = device.loop();
  assert.ok((await loop.step()) !== undefined);
  device.fleet.clock.advance(90 + 3000);
  assert.equal(await serves(device), false);
  await loop.step();
  assert.equal(device.events.at(-1)?.type, 'recovered');
  assert.ok(await serves(device));
});

test('TEST-KEY-14 past the grace period the device stops asking, and the server would refuse it', async () => {
  const device = await bench('pump-lost');
  const loop = device.loop();
  await loop.step();
  device.fleet.clock.advance(90 + 3601);
  const asked = device.server.requests.length;
  assert.equal(await loop.step(), undefined);
  const last = device.events.at(-1);
  assert.ok(last?.type === 'stopped' && last.error.code === 'renewal.grace-ended');
  assert.equal(device.server.requests.length, asked, 'nothing was sent');

  // An agent that does not keep to the rule.
  await device.loop({ graceSeconds: 1e9 }).step();
  const refused = device.events.at(-1);
  assert.ok(refused?.type === 'failed' && refused.error instanceof EstRefusal);
  assert.equal(refused.error.serverCode, 'device.grace-ended');
  assert.equal(refused.error.status, 403);
  assert.equal(await serves(device), false);
});

test('a fleet enrolled in the same second does not renew in the same second', async () => {
  const fleet = new Fleet();
  const { csr } = await makeKeyAndCsr('pump-1', 'P-256');
  const times = Array.from({ length: 200 }, () => {
    const [certificate] = deviceCertificate(fleet, 'ldevid', csr, { seconds: 86_400 });
    assert.ok(certificate);
    return renewalTime({ keyId: '', certificate, chain: [], receivedAt: fleet.clock.now().toISOString() }).getTime();
  });
  const hours = (times: number[], of: (...values: number[]) => number): number =>
    (of(...times) - fleet.clock.now().getTime()) / 3_600_000;
  assert.ok(hours(times, Math.min) >= 12 && hours(times, Math.max) <= 18);
  assert.ok(
    new Set(times.map((time) => Math.floor(time / 60_000))).size > 100,
    'spread over more than a hundred minutes',
  );
});

test('TEST-KEY-14 a fleet enrolled in the same second asks evenly from its first hour on, and after that no wave comes back', async () => {
  const fleet = new Fleet();
  const { csr } = await makeKeyAndCsr('pump-1', 'P-256');
  const receivedAt = fleet.clock.now().toISOString();
  const life = 86_400_000;
  const share = (fresh: boolean): number => {
    const [certificate] = deviceCertificate(fleet, 'ldevid', csr, { seconds: life / 1000 });
    assert.ok(certificate);
    const credential = { keyId: '', certificate, chain: [], receivedAt, ...(fresh ? { fresh: true as const } : {}) };
    return (renewalTime(credential).getTime() - fleet.clock.now().getTime()) / life;
  };
  const waits = Array.from({ length: 400 }, () => share(false));
  // Each of 4,000 devices: a first wait, and then ordinary ones, drawn from what was measured.
  const firsts = Array.from({ length: 400 }, () => share(true));
  assert.ok(Math.min(...firsts) < 0.02 && Math.max(...firsts) <= 0.75);
  const bins = Array.from({ length: 20 }, () => 0);
  for (let device = 0; device < 4_000; device += 1) {
    let at = firsts[device % firsts.length] ?? 0;
    for (let next = device * 7; at < 2; next += 131) {
      const bin = Math.floor(at * 10);
      bins[bin] = (bins[bin] ?? 0) + 1;
      at += waits[next % waits.length] ?? 1;
    }
  }
  const mean = bins.reduce((sum, one) => sum + one, 0) / bins.length;
  // Without the spread first wait a tenth of a life holds 2.5 times the mean, and others nothing.
  for (const [bin, count] of bins.entries())
    assert.ok(count > 0.6 * mean && count < 1.4 * mean, `${count} in the tenth ${bin}, ${mean} in the mean: ${bins}`);
});

test('the old key stays in use until the new one was proven by a request', async () => {
  const device = await bench('pump-proof');
  const { state, fleet, events } = device;
  let accepted = true;
  const loop = device.loop({
    prove: async () => {
      if (!accepted) throw new KeysteadError('peer.refused', { field: 'issuer' });
    },
  });
  await loop.step();
  const old = state.credential('current')?.keyId;
  accepted = false;
  fleet.clock.advance(70);
  await loop.step();
  assert.equal(events.at(-1)?.type, 'failed');
  assert.equal(state.credential('current')?.keyId, old);
  assert.ok(state.credential('pending'));
  const asked = device.server.requests.length;
  accepted = true;
  await loop.step();
  assert.equal(device.server.requests.length, asked, 'the certificate that was got is proven, not asked for again');
  assert.notEqual(state.credential('current')?.keyId, old);
  assert.equal(state.credential('previous')?.keyId, old);
  assert.ok(state.identity('previous').withKey((key) => key.length) > 100);
  // When the old certificate has ended, its key is destroyed.
  fleet.clock.advance(25);
  await loop.step();
  assert.equal(state.credential('previous'), undefined);
});

test('a certificate that is never accepted is given up for a new key', async () => {
  const device = await bench('pump-stubborn');
  const loop = device.loop({ prove: () => Promise.reject(new KeysteadError('peer.refused', { field: 'signature' })) });
  for (let i = 0; i < 5; i += 1) await loop.step();
  assert.equal(device.state.pending, undefined);
  await loop.step();
  assert.ok(device.state.credential('pending'));
});

test('a lost answer is asked for again with the same request, and no key is wasted', async () => {
  const device = await bench('pump-lost-answer');
  device.server.mishaps.push({ kind: 'lose the answer' });
  const loop = device.loop();
  await loop.step();
  const failed = device.events.at(-1);
  assert.ok(
    failed?.type === 'failed' && failed.error instanceof KeysteadError && failed.error.code === 'peer.unreachable',
  );
  await loop.step();
  assert.equal(device.events.at(-1)?.type, 'enrolled');
  assert.equal(device.server.issued.size, 1);
});

test('202 is waited for as long as the server says, with the same request', async () => {
  const device = await bench('pump-patient');
  device.server.mishaps.push({ kind: 'answer', status: 202, headers: { 'retry-after': '17' } });
  const loop = device.loop();
  assert.equal(await loop.step(), 17);
  assert.deepEqual(device.events.at(-1), { type: 'postponed', seconds: 17 });
  const date = new Date(device.fleet.clock.now().getTime() + 42_000).toUTCString();
  device.server.mishaps.push({ kind: 'answer', status: 202, headers: { 'retry-after': date } });
  assert.equal(await loop.step(), 42);
  await loop.step();
  assert.equal(device.server.issued.size, 1);
});

test('failures are retried with growing waits that never outlive the credential', async () => {
  const device = await bench('pump-retry');
  const loop = device.loop({ backoff: { firstSeconds: 2, mostSeconds: 600 } });
  await loop.step();
  device.fleet.clock.advance(70);
  const waits: number[] = [];
  for (let i = 0; i < 6; i += 1) {
    device.server.mishaps.push({ kind: 'answer', status: 503, body: 'store.locked: later' });
    const wait = await loop.step();
    assert.ok(wait !== undefined);
    waits.push(wait);
  }
  assert.ok(waits[0] !== undefined && waits[0] >= 1 && waits[0] <= 2);
  for (const wait of waits) assert.ok(wait <= 20 / 4, `${wait}`);
  await loop.step();
  assert.equal(device.events.at(-1)?.type, 'renewed');
  assert.ok(await serves(device));
});

test('after a long outage a device that has time waits for longer, and a rotation in a hurry or a refusal by a peer cuts that short', async () => {
  const device = await bench('pump-outage');
  device.server.lifetimeSeconds = 90 * 86_400;
  const { clock } = device.fleet;
  const loop = device.loop({ issuerRevoked: async () => false });
  loop.start();
  await ring(device);
  const current = device.state.credential('current') ?? assert.fail('no credential');
  const left = (): number => readCertificate(current.certificate).notAfter.getTime() - clock.now().getTime();
  const fail = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += 1) {
      device.server.mishaps.push({ kind: 'answer', status: 503, body: 'store.locked: later' });
      await ring(device);
    }
  };
  const waits = (): number => (device.timers.next ?? Number.NaN) - clock.now().getTime();
  await fail(9);
  assert.ok(waits() <= 300_000, 'a short outage is over soon');
  await fail(1);
  assert.ok(waits() >= left() / 32 && waits() <= left() / 16, `${waits()} of ${left()}`);
  const ends = (ms: number) => ({ start: clock.now(), end: new Date(clock.now().getTime() + ms) });
  loop.suggest(current.keyId, ends(left() / 2));
  assert.ok(waits() >= left() / 32, 'there is time enough');
  const hurried = ends(3_600_000);
  loop.suggest(current.keyId, hurried);
  const next = device.timers.next;
  assert.ok(waits() <= 300_000, 'the window is over before the wait would be');
  loop.suggest(current.keyId, hurried);
  assert.equal(device.timers.next, next, 'a window that is known puts nothing off and hurries nothing');
  await fail(3);
  assert.ok(waits() <= 300_000, 'while the hurry lasts');
  loop.suggest(current.keyId, undefined);
  await fail(1);
  assert.ok(waits() >= left() / 32);
  loop.suspect();
  assert.equal(waits(), 0, 'its CA may be gone');
  await fail(1);
  await ring(device);
  assert.deepEqual([...new Set(device.events.map(({ type }) => type))], ['enrolled', 'failed', 'renewed']);
  await loop.stop();
});

test('a device that was refused does not enrol around the refusal by its IDevID', async () => {
  const device = await bench('pump-stolen');
  const loop = device.loop();
  await loop.step();
  device.fleet.clock.advance(70);
  device.server.mishaps.push({ kind: 'answer', status: 403, body: 'certificate.revoked: this certificate is revoked' });
  await loop.step();
  const failed = device.events.at(-1);
  assert.ok(
    failed?.type === 'failed' &&
      failed.error instanceof EstRefusal &&
      failed.error.serverCode === 'certificate.revoked',
  );
  assert.equal(device.server.requests.filter(({ path }) => path.endsWith('simpleenroll')).length, 1);
  assert.equal(device.state.pending, undefined, 'the refused key is not offered again');
});

test('a refusal because the LDevID ended on the way is followed at once by a recovery, not by the longest wait', async () => {
  const device = await bench('pump-on-the-edge');
  const { est, fleet } = device;
  const slow: RenewalOptions['est'] = {
    caCertificates: (identity) => est.caCertificates(identity),
    enrol: (identity, csr) => est.enrol(identity, csr),
    reenrol: (identity, csr) => {
      fleet.clock.advance(25);
      device.server.mishaps.push({
        kind: 'answer',
        status: 403,
        body: 'certificate.expired: this certificate has ended',
      });
      return est.reenrol(identity, csr);
    },
  };
  const loop = device.loop({ est: slow, backoff: { firstSeconds: 1, mostSeconds: 600 } });
  await loop.step();
  fleet.clock.advance(70);
  assert.equal(await loop.step(), 1);
  assert.equal(device.events.at(-1)?.type, 'failed');
  fleet.clock.advance(1);
  await loop.step();
  assert.equal(device.events.at(-1)?.type, 'recovered');
  assert.ok(await serves(device));
});

test('stopping ends the loop for good', async () => {
  const device = await bench('pump-stop');
  const loop = device.loop();
  loop.start();
  await ring(device);
  await loop.stop();
  assert.equal(device.timers.next, undefined);
});

test('TEST-KEY-14 a window that the server suggests moves the renewal of that credential forward, spread by the hash, and of no other', async () => {
  const device = await bench('pump-window');
  device.server.lifetimeSeconds = 86_400;
  const { clock } = device.fleet;
  const loop = device.loop();
  const due = await loop.step();
  const first = device.state.credential('current') ?? assert.fail('no credential');
  const now = clock.now().getTime();
  const window = (from: number, until: number) => ({
    start: new Date(now + from * 1000),
    end: new Date(now + until * 1000),
  });
  const isAbout = (seconds: number | undefined, expected: number): void =>
    assert.ok(Math.abs((seconds ?? -1) - expected) < 1, `${seconds}, not ${expected}`);
  loop.suggest('another', window(-2, -1));
  isAbout(await loop.step(), due ?? -1);
  loop.suggest(first.keyId, window(90_000, 100_000));
  isAbout(await loop.step(), due ?? -1);
  const hash = Buffer.from(sha256(first.certificate)).readUInt32LE(0) / 2 ** 32;
  loop.suggest(first.keyId, window(-1, 1));
  const waited = await loop.step();
  if (hash > 0.5) isAbout(waited, Math.min(due ?? -1, -1 + 2 * hash));
  loop.suggest(first.keyId, window(-2, -1));
  await loop.step();
  assert.deepEqual(
    device.events.map(({ type }) => type),
    ['enrolled', 'renewed'],
  );
  assert.ok(Number(await loop.step()) > 1, 'it said nothing of the one that came');
});

test('steps are taken one at a time: one that is asked for meanwhile is the one under way, and no second key is made', async () => {
  const device = await bench('pump-steps');
  const loop = device.loop();
  const [one, other] = [loop.step(), loop.step()];
  assert.equal(await one, await other);
  assert.deepEqual(
    device.events.map(({ type }) => type),
    ['enrolled'],
  );
});

test('a suspicion that comes while the CRLs are asked is looked into as well, by a step of its own', async () => {
  const device = await bench('pump-suspect');
  let looks = 0;
  const { promise: asked, resolve: asking } = Promise.withResolvers<void>();
  const { promise: answer, resolve: answered } = Promise.withResolvers<boolean>();
  const loop = device.loop({
    issuerRevoked: async () => {
      looks += 1;
      asking();
      return answer;
    },
  });
  await loop.step();
  loop.start();
  loop.suspect();
  device.timers.ring();
  await asked;
  loop.suspect();
  const ended = loop.step();
  answered(false);
  assert.equal(await ended, 0, 'the next look is due at once');
  assert.equal(device.timers.next, device.fleet.clock.now().getTime());
  assert.ok(Number(await loop.step()) > 0);
  assert.equal(looks, 2);
  await loop.stop();
});

test('a new credential that the counter did not count at once is told when it is counted, and not before', async () => {
  const device = await bench('pump-uncounted');
  let isAway = true;
  const settled = async (): Promise<void> => {
    if (isAway) throw new KeysteadError('keystore.token-absent', { field: 'token' });
  };
  const loop = device.loop({ settled });
  const types = (): string[] => device.events.map(({ type }) => type);
  await loop.step();
  const { keyId } = device.state.credential('current') ?? assert.fail('no credential');
  const again = await loop.step();
  assert.ok((again ?? Infinity) <= 300, `counted again after ${again} s`);
  assert.deepEqual(types(), ['failed', 'failed']);
  isAway = false;
  await loop.step();
  assert.deepEqual(types(), ['failed', 'failed', 'enrolled']);
  await loop.step();
  assert.equal(device.events.length, 3, 'it is told once');
  assert.equal(device.state.credential('current')?.keyId, keyId);
});

test('a clock that was wrong and is set ends neither the renewals nor a wait that was reckoned by it', async () => {
  const device = await bench('pump-set');
  const { clock } = device.fleet;
  const loop = device.loop();
  loop.start();
  await ring(device);
  const now = clock.now();

  // It starts years ahead: its LDevID and its grace seem to be over.
  clock.set(new Date('2040-01-01T00:00:00Z'));
  const ahead = device.loop();
  ahead.start();
  device.timers.ring();
  while (device.events.at(-1)?.type !== 'stopped') await new Promise((resolve) => setImmediate(resolve));
  await ahead.step();
  ahead.lookAgain();
  assert.equal(device.timers.next, undefined, 'people must help, and nothing is asked');
  clock.set(now);
  ahead.lookAgain();
  assert.equal(device.timers.next, now.getTime(), 'it goes on at once');
  await ring(device);
  const due = device.timers.next ?? assert.fail('nothing is planned');
  assert.ok(due > now.getTime());

  // It was behind, and is set forward beyond the end: the wait would go on by the old reckoning.
  ahead.lookAgain();
  assert.equal(device.timers.next, due, 'nothing is due, and the wait goes on');
  clock.advance(90 + 3000);
  ahead.lookAgain();
  assert.equal(device.timers.next, clock.now().getTime());
  await ring(device);
  assert.equal(device.events.at(-1)?.type, 'recovered');

  // A wait after a failure is no such wait, and who has stopped it has ended it.
  clock.advance(80);
  device.server.mishaps.push({ kind: 'answer', status: 503, body: 'store.locked: later' });
  await ahead.step();
  const again = device.timers.next;
  ahead.lookAgain();
  assert.equal(device.timers.next, again);
  await ahead.stop();
  ahead.lookAgain();
  assert.equal(device.timers.next, undefined);
});
