import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { toBase64, toPem } from '@keystead/core/bytes';
import { randomBytes, SecretBytes } from '@keystead/core/crypto';
import { csrFor, KeydBed, makeKey } from 'keystead/keyd/tests/bed.ts';
import { registerEst } from 'keystead/protocols/est/routes.ts';
import { createHttpsServer } from 'keystead/protocols/http/server.ts';
import { estDomain } from 'keystead/serve/est-domain.ts';
import { openRooms } from 'keystead/serve/open-rooms.ts';
import { makeTlsIdentity } from 'keystead/serve/tls-identity.ts';
import { pino } from 'pino';
import { type Answer, askServer } from './https.ts';
import { newKey } from './rig.ts';

const HOUR = 3_600_000;

test('a clock that jumped back is a 503 that says so, nothing is signed or recorded, and it heals with the clock', async (t) => {
  const bed = await KeydBed.make();
  const closing: (() => unknown)[] = [() => bed.remove()];
  t.after(async () => {
    for (const close of closing.toReversed()) await close();
  });
  const { clock, rehearsal } = bed;
  const log = pino({ level: 'silent' });
  const rooms = await openRooms({
    sealingKey: SecretBytes.random(32),
    layout: rehearsal.layout,
    keyd: bed.client,
    clock,
    log,
  });
  closing.push(() => rooms.close());
  await rooms.start();
  const { app, server } = createHttpsServer(await makeTlsIdentity(rooms, 'localhost'), log);
  closing.push(() => app.close());
  registerEst(app, estDomain(rooms), log);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = server.address() as AddressInfo;

  const actor = { kind: 'operator', id: 'lin' } as const;
  await rooms.provisioning.openBatch({ ticket: await bed.ticket(), actor, requestId: 'open' });
  const born = await newKey('KS-0001');
  const people = { station: 'lin', operator: 'lin', line: 'line-1' };
  const order = { ticketId: 'batch-1', deviceId: 'KS-0001', csr: born.csr, ...people, requestId: 'unit' };
  const unit = await rooms.provisioning.provisionUnit(order);
  const identity = { key: born.key, cert: toPem('CERTIFICATE', unit.certificate) };
  const ask = (csr: Uint8Array): Promise<Answer> =>
    askServer(new URL(`https://localhost:${port}/.well-known/est/simpleenroll`), undefined, 'POST', {
      identity,
      body: toBase64(csr),
      type: 'application/pkcs10',
    });
  // The certificates have begun long before, so that nothing but the clock is in the way.
  clock.set(new Date(clock.now().getTime() + 12 * HOUR));
  assert.equal((await ask(await csrFor('KS-0001'))).status, 200);

  const state = async (): Promise<unknown> => {
    const { certificates } = await bed.client.journal({ from: 0, limit: 2000 });
    const signed = certificates.length;
    return rooms.store.read((records) => {
      return { signed, certificates: records.countCertificates(), entries: records.auditSize() };
    });
  };
  const before = await state();
  const { csr } = await newKey('KS-0001');
  const right = clock.now().getTime();
  // By a random time of at least three seconds: two are borne, as a clock that is being disciplined makes them.
  const back = 3000 + (Buffer.from(randomBytes(4)).readUInt32BE() % (6 * HOUR));
  clock.set(new Date(right - back));
  const answer = await ask(csr);
  assert.equal(answer.status, 503, answer.text);
  assert.match(answer.text, /^clock\.went-back: clock: .*saw .*after/);
  assert.match(String(answer.headers['retry-after']), /^\d+$/);
  assert.deepEqual(await state(), before);
  // keyd looks at its own clock: a front end that does not care gets nothing either.
  const key = makeKey();
  await assert.rejects(bed.enrol('KS-0001', unit.certificate, key), /clock/);
  assert.deepEqual(await state(), before);

  clock.set(new Date(right));
  assert.equal((await ask(csr)).status, 200);
});
