import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectMutual, HttpOverTls } from '@keystead/agent';
import { KeysteadError } from '@keystead/core/errors';
import { Backend } from '../backend.ts';
import { DeviceLink } from '../device-link.ts';
import { Rig } from './rig.ts';

let rig: Rig;
let backend: Backend;
before(async () => {
  rig = await Rig.start();
  backend = await Backend.start({ config: rig.config, key: rig.key(), clock: rig.clock });
});
after(async () => {
  await backend.stop();
  await rig.stop();
});

const connect = (identity: Parameters<typeof DeviceLink.connect>[1]): Promise<DeviceLink> =>
  DeviceLink.connect({ host: 'localhost', port: backend.port }, identity, rig.rules);
const refusedBy = (rule: string) => (error: unknown) =>
  error instanceof KeysteadError && error.code === 'peer.refused' && error.field === rule;

async function until(holds: () => boolean | Promise<boolean>, withinMs: number): Promise<number> {
  const start = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - start < withinMs, `not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - start;
}

test('a device talks under session keys that are fresh for each connection', async () => {
  const identity = rig.device('pump-1');
  const link = await connect(identity);
  assert.equal(await link.whoAmI(), 'pump-1');
  for (const text of ['dose 5 ml', '', 'x'.repeat(10_000)]) {
    assert.equal(Buffer.from(await link.echo(Buffer.from(text))).toString(), text);
  }
  await link.openSession();
  assert.equal(Buffer.from(await link.echo(Buffer.from('again'))).toString(), 'again');
  link.close();
  const status = backend.tally();
  assert.equal(status.sessions, 2);
  assert.equal(status.echoes, 4);
  const page = JSON.parse(await (await fetch(`http://127.0.0.1:${backend.statusPort}/status`)).text());
  assert.equal(page.devices['pump-1'].refused, 0);
});

test('TEST-KEY-07 a device that is revoked is refused on its open connection within a second, with the reason; the others go on', async () => {
  const stolen = rig.device('pump-stolen');
  const busy = await connect(stolen);
  const other = await connect(rig.device('pump-2'));
  await busy.echo(Buffer.from('before'));
  await other.echo(Buffer.from('before'));
  rig.revoke(stolen);
  const start = performance.now();
  let refusal: unknown;
  await until(async () => {
    try {
      await busy.echo(Buffer.from('after'));
      return false;
    } catch (error) {
      refusal = error;
      return true;
    }
  }, 1000);
  assert.ok(performance.now() - start < 1000);
  assert.ok(refusedBy('revoked')(refusal), String(refusal));
  assert.match(String(refusal), /403.*keyCompromise/);
  await until(() => !busy.isOpen, 1000);
  await assert.rejects(
    connect(stolen).then((link) => link.whoAmI()),
    refusedBy('revoked'),
  );
  assert.equal(Buffer.from(await other.echo(Buffer.from('still here'))).toString(), 'still here');
  assert.ok((backend.tally().refused.revoked ?? 0) >= 2);
  assert.equal(backend.tally().devices['pump-2']?.refused, 0);
  other.close();
});

test('TEST-KEY-07 an idle connection of a revoked device is ended within a second', async () => {
  const stolen = rig.device('pump-idle');
  const link = await connect(stolen);
  await link.whoAmI();
  rig.revoke(stolen);
  const took = await until(() => !link.isOpen, 1000);
  assert.ok(took < 800, `${took} ms`);
  assert.equal(backend.tally().devices['pump-idle']?.lastRule, 'revoked');
});

test('TEST-KEY-07 when the responder does not know the device, or cannot be reached, the device is refused', async () => {
  rig.responder.otherwise = { status: 'unknown' };
  await assert.rejects(
    connect(rig.device('pump-x')).then((link) => link.whoAmI()),
    refusedBy('status-unknown'),
  );
  rig.responder.otherwise = { status: 'good' };
  rig.responder.mode = 'fail';
  await assert.rejects(
    connect(rig.device('pump-y')).then((link) => link.whoAmI()),
    refusedBy('status-unavailable'),
  );
  rig.responder.mode = 'answer';
  await assert.rejects(
    connect(rig.device('pump-z', { ocspUrl: 'http://127.0.0.1:1/ocsp' })).then((link) => link.whoAmI()),
    refusedBy('status-unavailable'),
  );
  await assert.rejects(
    connect(rig.device('pump-n', { ocspUrl: undefined })).then((link) => link.whoAmI()),
    refusedBy('status-unavailable'),
  );
});

test('an expired device, an IDevID and a client without certificate are refused by their rule', async () => {
  const past = new Date(rig.clock.now().getTime() - 1000);
  await assert.rejects(
    connect(rig.device('pump-old', { notAfter: past })).then((link) => link.whoAmI()),
    refusedBy('expired'),
  );
  await assert.rejects(
    connect(rig.device('pump-3', {}, rig.fleet.manufacturing)).then((link) => link.whoAmI()),
    refusedBy('issuer'),
  );
  const http = new HttpOverTls(
    await connectMutual({ host: 'localhost', port: backend.port }, undefined, rig.rules),
    'localhost',
  );
  const answer = await http.send({ method: 'GET', path: '/whoami' });
  assert.equal(answer.status, 403);
  assert.equal(JSON.parse(Buffer.from(answer.body).toString()).error.field, 'no-certificate');
  http.close();
});

test('a frame that is played back, a message without a session and a body too large are refused, each by its status', async () => {
  const open = async (): Promise<HttpOverTls> =>
    new HttpOverTls(
      await connectMutual({ host: 'localhost', port: backend.port }, rig.device('pump-4'), rig.rules),
      'localhost',
    );
  const post = async (http: HttpOverTls, path: string, body: Uint8Array): Promise<[number, string]> => {
    const answer = await http.send({ method: 'POST', path, body, contentType: 'application/octet-stream' });
    return [answer.status, JSON.parse(Buffer.from(answer.body).toString()).error?.code];
  };
  assert.deepEqual(await post(await open(), '/echo', Buffer.from('x')), [400, 'request.malformed']);
  assert.deepEqual(await post(await open(), '/session', Buffer.from('short')), [401, 'session.frame-refused']);
  const session = await open();
  assert.equal((await post(session, '/session', Buffer.alloc(32)))[0], 200);
  assert.deepEqual(await post(session, '/echo', Buffer.alloc(60, 1)), [401, 'session.frame-refused']);
  assert.deepEqual(await post(await open(), '/echo', Buffer.alloc(70_000)), [413, 'request.too-large']);
  assert.deepEqual(await post(await open(), '/nowhere', Buffer.alloc(1)), [404, 'request.malformed']);
});
