import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { Agent, type AgentEvent, printable } from '../daemon/agent.ts';
import { readConfig } from '../daemon/config.ts';
import { type AgentStatus, statusFile } from '../daemon/status.ts';
import { DeviceState, RollbackGuard, type StateCounter } from '../index.ts';
import { TestEstServer } from './est-server.ts';
import { Fleet } from './fleet.ts';
import { provisionedDevice } from './provisioned-device.ts';
import { DAY, TrustHouse } from './trust-house.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-count-'));
const fleet = new Fleet();
const clean: (() => unknown)[] = [];
let house: TrustHouse;
let est: TestEstServer;
before(async () => {
  house = await TrustHouse.start(fleet);
  est = await TestEstServer.start(fleet);
  est.lifetimeSeconds = 90 * DAY;
  writeFileSync(join(work, 'anchors.pem'), toPem('CERTIFICATE', fleet.root.certificate));
  writeFileSync(join(work, 'signer.pem'), toPem('PUBLIC KEY', house.signer.spki));
  await house.publish();
});
after(async () => {
  for (const act of clean.reverse()) await act();
  await est.stop();
  await house.stop();
  rmSync(work, { recursive: true });
});

/** A counter of the device's own hardware, which can be away, and which another program can step. */
class OwnCounter implements StateCounter {
  value = 7;
  away = false;
  #version: number | undefined;

  async read() {
    return { value: this.value, bundleVersion: this.#version };
  }

  async step(from: number, bundleVersion: number): Promise<void> {
    if (this.away) throw new KeysteadError('keystore.token-absent', { field: 'token' });
    if (from !== this.value) throw new KeysteadError('counter.moved', { field: 'counter', seen: String(this.value) });
    this.value += 1;
    this.#version = bundleVersion;
  }
}

/** A daemon that has the first bundle, and no LDevID yet: nothing of what renewals do has begun. */
async function daemon(name: string) {
  const { state, secret, directory, remove } = await provisionedDevice(fleet, name);
  clean.push(remove);
  const port = await freePort();
  state.keepTrust(house.factoryTrust());
  const config = {
    ...{ deviceId: name, state: directory, run: work, anchors: 'anchors.pem', ocsp: false },
    key: { store: 'sealed', secretFile: 'secret' },
    server: { est: est.url, trust: house.url },
    fleet: {
      name: 'pumps',
      signers: [{ key: 'signer.pem', from: '2020-01-01T00:00:00Z', until: '2049-12-31T00:00:00Z' }],
    },
    tunnels: [{ kind: 'from-devices', host: '127.0.0.1', port, to: 'nobody.sock' }],
  };
  const file = join(work, `${name}.json`);
  writeFileSync(file, JSON.stringify(config));
  const counter = new OwnCounter();
  const guard = await RollbackGuard.open(state, counter);
  const nothing = { holds: async () => [], destroy: async () => [], close: async () => undefined };
  const events: AgentEvent[] = [];
  let heard = (): void => {};
  const holder = { secret: async () => secret, ...nothing };
  const agent = new Agent(readConfig(file), { holder, state, guard }, fleet.clock, (event) => {
    events.push(event);
    // From the first bundle on: what comes next is the enrolment.
    if (event.type === 'taken') counter.away = true;
    heard();
  });
  clean.push(() => agent.stop());
  return {
    ...{ agent, counter, events, state, port },
    /** Resolves when there was such an event. */
    async until(type: AgentEvent['type']): Promise<void> {
      while (!events.some((event) => event.type === type))
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
    },
    open: () => DeviceState.open(directory, { secret }),
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const of = (events: readonly AgentEvent[], type: AgentEvent['type']): Record<string, unknown>[] =>
  events.filter((event) => event.type === type).map(printable);
const codes = (events: readonly AgentEvent[], type: AgentEvent['type']): unknown[] =>
  of(events, type).map(({ error }) => (error as { code?: string }).code);

test('TEST-KEY-10 an enrolment whose count fails is told, counted with a later look, and not lost: who waits for the credential hears of it', {
  timeout: 60_000,
}, async () => {
  const { agent, counter, events, state, port, until, open } = await daemon('pump-1');
  await agent.start();
  await until('failed');
  assert.deepEqual(codes(events, 'failed'), ['keystore.token-absent']);
  assert.ok(state.credential('current'), 'it is in force, and durable');
  const [counted, number] = [counter.value, state.generation];
  assert.equal(number, counted + 1);

  await agent.look();
  assert.ok(codes(events, 'count-failed').length > 0);
  assert.ok(codes(events, 'count-failed').every((code) => code === 'keystore.token-absent'));
  const { last } = JSON.parse(readFileSync(statusFile(work), 'utf8')) as AgentStatus;
  assert.equal(
    (last['count-failed'] as { error?: { code: string } } | undefined)?.error?.code,
    'keystore.token-absent',
  );
  assert.deepEqual([counter.value, state.generation], [counted, number], 'nothing was counted, nothing lost');
  assert.deepEqual(of(events, 'enrolled'), []);
  assert.equal(await listens(port), false, 'a tunnel for devices waits for the credential');

  counter.away = false;
  const told = codes(events, 'count-failed').length;
  await agent.look();
  assert.equal(codes(events, 'count-failed').length, told);
  assert.deepEqual([counter.value, state.generation], [number, number]);
  await until('enrolled');
  await until('reported');
  assert.equal(of(events, 'enrolled').length, 1);
  assert.ok(est.uptake.has('pump-1'));
  while (!(await listens(port))) await new Promise((resolve) => setImmediate(resolve));
  await agent.stop();
  // The newest image is taken, which it is by the counter.
  const again = open();
  await RollbackGuard.open(again, counter);
  again.close();
});

test('TEST-KEY-10 a counter that another program has stepped is told at each look as a state that was rolled back', {
  timeout: 60_000,
}, async () => {
  const { agent, counter, events, until, open } = await daemon('pump-2');
  await agent.start();
  await until('failed');
  counter.away = false;
  counter.value += 2;
  await agent.look();
  assert.ok(codes(events, 'count-failed').includes('state.rolled-back'));
  await agent.stop();
  const again = open();
  await assert.rejects(RollbackGuard.open(again, counter), { code: 'state.rolled-back' });
  again.close();
});
