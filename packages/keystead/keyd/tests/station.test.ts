import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import type { Params } from '../../keyd-client/index.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';
import { ST_3, signOnOf, stationCertificate, stationRequest } from './station-bed.ts';

let bed: KeydBed;
let ticket: string;
let certificate: DerCertificate;
before(async () => {
  bed = await KeydBed.make({ stations: { required: true, maxSignOnSeconds: 12 * 3600 } });
  ticket = await bed.ticket({ quota: 100 });
  certificate = await stationCertificate(bed);
});
after(() => bed.remove());

const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'done',
    (error: unknown) => (error instanceof KeysteadError ? error.code : String(error)),
  );

let units = 0;
/** A unit with an id of its own, from station 3. */
async function unit(signOn: string, more: Partial<Params<'provision'>> = {}): Promise<Params<'provision'>> {
  units += 1;
  const deviceId = `KS-${String(units).padStart(4, '0')}`;
  return {
    ticket,
    deviceId,
    csr: await csrFor(deviceId),
    station: ST_3,
    operator: 'lin',
    line: 'line-1',
    at: { certificate, signOn },
    requestId: `unit-${deviceId}`,
    ...more,
  };
}
const provision = async (signOn: string, more: Partial<Params<'provision'>> = {}): Promise<string> =>
  codeOf(bed.client.provision(await unit(signOn, more)));

test('TEST-KEY-17 a station gets a certificate that opens connections and does nothing else, by an order that an operator signed', () => {
  const info = readCertificate(certificate);
  assert.deepEqual(info.san, [`DNS:${ST_3}`]);
  assert.deepEqual(info.extKeyUsage, ['clientAuth']);
  assert.equal(info.notAfter.getTime() - bed.clock.now().getTime() <= 366 * 86_400_000, true);
});

test('TEST-KEY-13 no station comes of no order, a forged one, one for another name, key or site, one of a line operator, or one that is over', async () => {
  const good = await stationRequest(bed, 'st-9.plant.example');
  const { order: _, ...without } = good.requester;
  const other = await stationRequest(bed, 'st-8.plant.example');
  const cases: [string, Params<'issue'>][] = [
    ['request.malformed', { ...good, requester: without }],
    ['station-order.differs', { ...good, csr: await csrFor('st-9.plant.example') }],
    ['station-order.differs', { ...good, csr: other.csr, hosts: ['st-8.plant.example'] }],
    ['request.malformed', { ...good, hosts: ['st-9.plant.example', 'st-8.plant.example'] }],
    ['request.malformed', { ...good, hosts: ['10.0.0.9'] }],
    ['profile.requester-forbidden', { ...good, requester: { ...good.requester, kind: 'system' } }],
    ['profile.requester-forbidden', { ...good, profile: 'tls-server' }],
    ['station-order.differs', await stationRequest(bed, 'st-9.plant.example', { factory: 'berlin-1' })],
    ['station-order.expired', await stationRequest(bed, 'st-9.plant.example', { notBefore: '2026-02-01T00:00:00Z' })],
    [
      'station-order.signer-forbidden',
      await stationRequest(bed, 'st-9.plant.example', {}, { name: 'lin', key: bed.people.lin }),
    ],
    [
      'station-order.signature-invalid',
      await stationRequest(bed, 'st-9.plant.example', {}, { name: 'ada', key: makeKey() }),
    ],
    [
      'station-order.differs',
      {
        ...(await stationRequest(bed, 'st-9.plant.example')),
        requester: { ...good.requester, order: other.requester.order },
      },
    ],
  ];
  const before = (await bed.client.status()).certificates;
  for (const [code, params] of cases) assert.equal(await codeOf(bed.client.issue(params)), code);
  // The certificate of the operator, which the requests of the bed ask for.
  assert.ok((await bed.client.status()).certificates - before <= 0);
  assert.equal(await codeOf(bed.client.issue(good)), 'done');
});

test('TEST-KEY-17 the record names who signed on, at which station and line, and the sign-on by its hash', async () => {
  const signOn = await signOnOf(bed);
  const { record } = await bed.client.provision(await unit(signOn));
  const told = parse(record) as Record<string, string>;
  assert.deepEqual([told.operator, told.station, told.line], ['lin', ST_3, 'line-1']);
  assert.match(told.sign_on ?? '', /^sha256:[0-9a-f]{64}$/);
});

test('TEST-KEY-17 what the front end says of operator, station and line counts for nothing beside the sign-on', async () => {
  const signOn = await signOnOf(bed);
  assert.equal(await provision(signOn, { operator: 'ada' }), 'sign-on.differs');
  assert.equal(await provision(signOn, { station: 'st-4.line-1.plant.example' }), 'sign-on.differs');
  assert.equal(await provision(signOn, { line: 'line-2' }), 'sign-on.differs');
  assert.equal(await provision(signOn), 'done');
});

test('TEST-KEY-17 where the policy demands stations, a unit without one is refused', async () => {
  assert.equal(await provision('', { at: undefined }), 'sign-on.needed');
});

test('TEST-KEY-17 keyd refuses a sign-on that is forged, of the wrong person, station, site or line, too long, too early or over', async () => {
  const at = (seconds: number): string => new Date(bed.clock.now().getTime() + seconds * 1000).toISOString();
  const whole = (seconds: number): string => at(seconds).replace(/\.\d+Z$/, 'Z');
  const cases: [string, string][] = [
    ['sign-on.signature-invalid', await signOnOf(bed, {}, { name: 'lin', key: makeKey() })],
    ['sign-on.signer-unknown', await signOnOf(bed, {}, { name: 'eve', key: bed.people.lin })],
    ['sign-on.signer-forbidden', await signOnOf(bed, {}, { name: 'ada', key: bed.people.ada })],
    ['sign-on.other-station', await signOnOf(bed, { station: 'st-4.line-1.plant.example' })],
    ['sign-on.other-factory', await signOnOf(bed, { factory: 'berlin-1' })],
    ['sign-on.too-long', await signOnOf(bed, { notAfter: whole(12 * 3600 + 60) })],
    ['sign-on.not-yet-valid', await signOnOf(bed, { notBefore: whole(120), notAfter: whole(3600) })],
    ['sign-on.expired', await signOnOf(bed, { notBefore: whole(-3600), notAfter: whole(-1) })],
    ['sign-on.malformed', '{}'],
  ];
  const before = (await bed.client.status()).certificates;
  for (const [code, signOn] of cases) assert.equal(await provision(signOn), code);
  const line2 = await signOnOf(bed, { line: 'line-2' });
  assert.equal(await provision(line2, { line: 'line-2' }), 'ticket.line-forbidden');
  assert.equal((await bed.client.status()).certificates, before);
});

test('TEST-KEY-13 no certificate but one that keyd made for a station stands for one', async () => {
  const signOn = await signOnOf(bed);
  const { certificate: server } = await bed.client.issue({
    profile: 'tls-server',
    csr: await csrFor(ST_3),
    requester: { kind: 'system', id: 'serve' },
    hosts: [ST_3],
    requestId: 'server',
  });
  const { certificate: person } = await bed.client.issue({
    profile: 'operator',
    csr: await csrFor('ada', bed.people.ada),
    requester: { kind: 'operator', id: 'ada' },
    requestId: 'ada',
  });
  const other = await KeydBed.make();
  const foreign = await stationCertificate(other);
  await other.remove();
  for (const shown of [server, person, foreign]) {
    assert.equal(await provision(signOn, { at: { certificate: shown, signOn } }), 'requester.unproven');
  }
  const next = await stationCertificate(bed, 'st-4.line-1.plant.example');
  assert.equal(await provision(signOn, { at: { certificate: next, signOn } }), 'sign-on.other-station');
});

test('TEST-KEY-17 who is signed off stays so, also after a restart, until they sign on anew', async () => {
  const signOn = await signOnOf(bed);
  assert.equal(await provision(signOn), 'done');
  const by = (name: string) => bed.client.signOff({ signOn, by: name, requestId: 'off' });
  assert.equal(await codeOf(by('aud')), 'operator.forbidden');
  assert.equal(await codeOf(by('eve')), 'operator.unknown');
  assert.equal(await provision(signOn), 'done');
  const ended = await by('ada');
  assert.deepEqual([ended.station, ended.operator], [ST_3, 'lin']);
  assert.deepEqual(await by('lin'), ended);
  assert.equal(await provision(signOn), 'sign-on.ended');
  await bed.restart();
  assert.equal(await provision(signOn), 'sign-on.ended');
  assert.equal(await provision(await signOnOf(bed)), 'done');
});

test('TEST-KEY-17 a station whose certificate is revoked or has ended is no station any more', async () => {
  const lost = 'st-7.line-1.plant.example';
  const shown = await stationCertificate(bed, lost);
  const signOn = await signOnOf(bed, { station: lost });
  const from = { station: lost, at: { certificate: shown, signOn } };
  assert.equal(await provision(signOn, from), 'done');
  const { serial } = readCertificate(shown);
  const entries = [{ serial, revokedAt: bed.clock.now(), reason: 'keyCompromise' as const }];
  await bed.client.listRevocations({ issuer: 'server', entries });
  assert.equal(await provision(signOn, from), 'requester.revoked');
  // The last of this file: a year and a day later.
  bed.clock.set(new Date(bed.clock.now().getTime() + 366 * 86_400_000));
  const later = { ticket: await bed.ticket({ id: 'later' }) };
  assert.equal(await provision(await signOnOf(bed), later), 'requester.unproven');
});
