import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromPem, toBase64, toPem } from '@keystead/core/bytes';
import { SecretBytes, softwareSigner } from '@keystead/core/crypto';
import { certificationRequest, parseCsr } from '@keystead/core/x509';
import { parse } from 'yaml';
import type { Answer } from '../faults/https.ts';
import { newKey, Rig } from '../faults/rig.ts';
import { keystead, ok } from '../interop/foreign.ts';
import { ST_3, TestStation, ticketText, told, verdict } from './station-rig.ts';

let rig: Rig;
let station: TestStation;
before(async () => {
  rig = await Rig.make();
  station = await TestStation.enrol(rig);
  await rig.batch('batch-a', 12, 'PA-', 90);
});
after(() => rig.remove());

/** Certificates, units and devices, for tests that nothing changed. */
const counted = (): number[] => {
  const { certificates, units, devices } = rig.records();
  return [certificates.length, units.length, devices.length];
};
const lastRefusal = (answer: Answer): string => String(rig.audited(answer).at(-1)?.detail?.code);

/** Refused with this verdict and this error, audited with it, and nothing changed. */
async function refused(expected: string, code: string, act: () => Promise<Answer>): Promise<void> {
  const before = counted();
  const answer = await act();
  assert.equal(verdict(answer), expected, answer.text);
  const { error, what, todo } = told(answer) as { error: { code: string }; what: string; todo: string };
  assert.equal(error.code, code);
  assert.ok(what.length > 10 && todo.length > 5);
  assert.deepEqual(counted(), before);
  assert.equal(lastRefusal(answer), code);
}

test('TEST-KEY-17 a station is told apart from people, devices and strangers, and sees nothing of theirs', async () => {
  const state = told(await station.ask('GET', '/'));
  assert.deepEqual([state.station, state.factory, state.signedOn], [ST_3, 'headquarters', null]);
  for (const path of ['/devices', '/policy', '/certificates/00', '/stations']) {
    const answer = await rig.https('GET', `/api/v1${path}`, { identity: station.identity });
    assert.equal(answer.status, 403, path);
  }
  const est = await rig.est('simpleenroll', station.identity, (await newKey('X')).csr);
  assert.ok(est.status === 401 || est.status === 403, est.text);
  for (const identity of [rig.person('line-1'), undefined]) {
    const answer = await rig.https('GET', '/api/v1/station/', { identity });
    assert.equal(verdict(answer), 'fail 64 station-refused');
  }
});

test('TEST-KEY-17 only a CA operator makes stations', async () => {
  const args = ['--dir', join(rig.folder, 'no'), '--key-passphrase-file', station.passFile, '--data', rig.layout.data];
  const { status, stderr } = await keystead(['station', 'enrol', 'st-9.plant.example', '--as', 'line-1', ...args]);
  assert.equal(status, 3);
  assert.match(stderr, /access\.forbidden/);
});

test('TEST-KEY-17 without anybody signed on a unit is refused; a sign-on that is not right is refused with its code', async () => {
  await refused('fail 60 sign-on-needed', 'sign-on.needed', () => station.unit('PA-0001'));
  const day = 86_400_000;
  const at = (ms: number) => new Date(Date.now() + ms).toISOString().replace(/\.\d+Z$/, 'Z');
  await refused('fail 63 sign-on-elsewhere', 'sign-on.other-station', () =>
    station.signOn({ station: 'st-4.line-1.plant.example' }),
  );
  await refused('fail 62 sign-on-refused', 'sign-on.signer-forbidden', () => station.signOn({}, 'auditor'));
  await refused('fail 61 sign-on-over', 'sign-on.expired', () =>
    station.signOn({ notBefore: at(-day), notAfter: at(-day + 3_600_000) }),
  );
  await refused('fail 65 clock-wrong', 'sign-on.not-yet-valid', () =>
    station.signOn({ notBefore: at(day), notAfter: at(day + 3_600_000) }),
  );
  await refused('fail 62 sign-on-refused', 'sign-on.too-long', () => station.signOn({ notAfter: at(13 * 3_600_000) }));
  await refused('fail 65 clock-wrong', 'station.clock-wrong', async () =>
    station.ask('POST', '/sign-on', { time: at(-day), signOn: await station.statement() }),
  );
});

test('TEST-KEY-17 an operator signs on with their own key, the record names them, and the counts go up', async () => {
  const signed = told(await station.signOn());
  assert.equal((signed.signedOn as { operator: string }).operator, 'line-1');
  const answer = await station.unit('PA-0001');
  assert.equal(verdict(answer), 'pass 0 done', answer.text);
  const record = parse(String(told(answer).record)) as Record<string, string>;
  assert.deepEqual([record.operator, record.station, record.line], ['line-1', ST_3, 'line-1']);
  assert.match(record.sign_on ?? '', /^sha256:/);
  const entry = rig.records().entries.find(({ type }) => type === 'station.signed-on');
  assert.equal(record.sign_on, `sha256:${String(entry?.detail?.sha256)}`);
  const { counts, batches } = told(await station.ask('GET', '/')) as {
    counts: { shift: { pass: number; fail: number } };
    batches: { ticketId: string; left: number }[];
  };
  assert.deepEqual(counts.shift, { pass: 1, fail: 0 });
  assert.equal(batches.find(({ ticketId }) => ticketId === 'batch-a')?.left, 11);
});

test('TEST-KEY-17 the same unit after a power cut gets its own result, also with another request by the same key, and never a second identity', async () => {
  const { key, csr } = await newKey('PA-0002');
  const first = told(await station.unit('PA-0002', { csr: toPem('CERTIFICATE REQUEST', csr) }));
  await rig.kill('serve', 'keyd');
  await rig.start('keyd');
  await rig.start('serve');
  const again = await station.unit('PA-0002', { csr: toPem('CERTIFICATE REQUEST', csr) });
  assert.equal(verdict(again), 'pass 1 done-before');
  const pkcs8 = createPrivateKey(key).export({ format: 'der', type: 'pkcs8' });
  const other = await certificationRequest('PA-0002', softwareSigner('P-256', SecretBytes.copy(pkcs8)));
  assert.notEqual(toBase64(other), toBase64(csr));
  const fresh = await station.unit('PA-0002', { csr: toPem('CERTIFICATE REQUEST', other) });
  assert.equal(verdict(fresh), 'pass 1 done-before');
  for (const answer of [again, fresh]) assert.equal(told(answer).certificate, first.certificate);
  const found = told(await station.ask('GET', '/units/PA-0002'));
  assert.deepEqual([found.result, found.certificate], ['pass', first.certificate]);
  const idevids = rig.records().certificates.filter(({ device }) => device === 'PA-0002');
  assert.equal(idevids.length, 1);
});

test('TEST-KEY-17 every bad input of a line has its code for the rig and its words for the operator, is audited, and changes nothing', async () => {
  const own = toPem('CERTIFICATE REQUEST', (await newKey('PA-0010')).csr);
  // The key of another unit, and another unit's request replayed.
  const { key, csr: taken } = await newKey('PA-0003');
  assert.equal(verdict(await station.unit('PA-0003', { csr: toPem('CERTIFICATE REQUEST', taken) })), 'pass 0 done');
  const pkcs8 = createPrivateKey(key).export({ format: 'der', type: 'pkcs8' });
  const copy = await certificationRequest('PA-0011', softwareSigner('P-256', SecretBytes.copy(pkcs8)));
  const day = new Date(Date.now() - 86_400_000).toISOString();
  await refused('fail 11 id-out-of-range', 'station.no-batch', () => station.unit('PA-0091'));
  await refused('fail 11 id-out-of-range', 'ticket.device-forbidden', () =>
    station.unit('PX-0001', { ticketId: 'batch-a' }),
  );
  await refused('fail 12 id-reused', 'device.already-provisioned', () => station.unit('PA-0003'));
  await refused('fail 13 key-of-another', 'key.already-used', () =>
    station.unit('PA-0011', { csr: toPem('CERTIFICATE REQUEST', copy) }),
  );
  await refused('fail 14 request-of-another', 'csr.subject-mismatch', () => station.unit('PA-0012', { csr: own }));
  const half = own.slice(0, own.length / 2);
  await refused('fail 15 request-broken', 'request.malformed', () => station.unit('PA-0010', { csr: half }));
  const der = (await newKey('PA-0010')).csr;
  await refused('fail 15 request-broken', 'csr.not-der', () =>
    station.unit('PA-0010', { csr: toBase64(der.subarray(0, der.length / 2)) }),
  );
  await refused('fail 10 id-unreadable', 'request.malformed', () => station.unit('PA 0010', { csr: own }));
  await refused('fail 65 clock-wrong', 'station.clock-wrong', () => station.unit('PA-0010', { csr: own, time: day }));
  await refused('fail 44 batch-unknown', 'ticket.unknown', () =>
    station.unit('PA-0010', { csr: own, ticketId: 'none' }),
  );
  await refused('fail 19 way-unknown', 'station.way-unknown', () =>
    station.unit('PA-0010', { csr: own, way: { x: 1 } }),
  );
  const to = toPem('PUBLIC KEY', parseCsr((await newKey('PA-0010')).csr).spki);
  await refused('fail 24 injection-refused', 'injection.forbidden', () =>
    station.unit('PA-0010', { csr: undefined, way: { kind: 'injected', recipient: to } }),
  );
  await refused('fail 23 chip-refused', 'element.not-configured', () =>
    station.unit('PA-0010', { csr: own, way: { kind: 'secure-element', chain: String(station.identity.cert) } }),
  );
  await refused('fail 66 rig-speaks-wrongly', 'request.malformed', () => station.unit('PA-0010', { csr: own, x: 1 }));
  const missing = await station.ask('GET', '/units/PA-0099');
  assert.equal(verdict(missing), 'fail 21 unit-unknown');
  // What was refused before is told again, and the unit itself is still to be had.
  assert.equal(verdict(await station.ask('GET', '/units/PA-0011')), 'fail 13 key-of-another');
  assert.equal(verdict(await station.unit('PA-0010', { csr: own })), 'pass 0 done');
});

test('TEST-KEY-17 tickets at the line: forged, over, for another line, used up, and one too many', async () => {
  const open = async (ticket: string) => station.ask('POST', '/batches', { ticket });
  const ids = (prefix: string) => ({ prefix, from: 1, to: 9, width: 4 });
  const good = await ticketText(rig, { id: 'batch-b', quota: 1, deviceIds: ids('PB-') });
  await refused('fail 42 ticket-forged', 'ticket.signature-invalid', () =>
    open(good.replace(/"signature":"[^"]{8}/, '"signature":"MEUCIQAA')),
  );
  const at = (ms: number) => new Date(Date.now() + ms).toISOString();
  const old = { notBefore: at(-7_200_000), notAfter: at(-3_600_000) };
  const over = await ticketText(rig, { id: 'batch-c', deviceIds: ids('PC-'), ...old });
  await refused('fail 40 ticket-expired', 'ticket.expired', () => open(over));
  const soon = await ticketText(rig, { id: 'batch-d', deviceIds: ids('PD-'), notAfter: at(1500) });
  assert.equal((await open(soon)).status, 200);
  const other = await ticketText(rig, { id: 'batch-e', deviceIds: ids('PE-'), lines: ['line-2'] });
  assert.equal((await open(other)).status, 200);
  await refused('fail 46 wrong-line', 'ticket.line-forbidden', () => station.unit('PE-0001'));
  const elsewhere = await ticketText(rig, { id: 'batch-g', deviceIds: ids('PG-'), stations: ['st-9.line-1'] });
  assert.equal((await open(elsewhere)).status, 200);
  await refused('fail 47 wrong-station', 'ticket.station-forbidden', () => station.unit('PG-0001'));
  const abroad = await ticketText(rig, { id: 'batch-h', deviceIds: ids('PH-'), factory: 'graz-1' });
  assert.equal((await open(abroad)).status, 200);
  await refused('fail 50 wrong-factory', 'ticket.other-factory', () => station.unit('PH-0001'));
  assert.equal((await open(good)).status, 200);
  const units = await Promise.all(['PB-0001', 'PB-0002', 'PB-0003'].map((id) => station.unit(id)));
  assert.deepEqual(units.map(verdict).sort(), ['fail 43 quota-reached', 'fail 43 quota-reached', 'pass 0 done']);
  const clash = await ticketText(rig, { id: 'batch-f', deviceIds: ids('PB-') });
  assert.equal((await open(clash)).status, 200);
  await refused('fail 48 batch-ambiguous', 'station.batch-ambiguous', () => station.unit('PB-0009'));
  while (Date.now() < Date.parse(JSON.parse(Buffer.from(JSON.parse(soon).payload, 'base64url').toString()).notAfter))
    await new Promise((resolve) => setTimeout(resolve, 50));
  await refused('fail 40 ticket-expired', 'ticket.expired', () => station.unit('PD-0001'));
});

test('while the key service is away a unit is to be tried again, and then gets through by the same request', async () => {
  const csr = toPem('CERTIFICATE REQUEST', (await newKey('PA-0020')).csr);
  await rig.kill('keyd');
  const answer = await station.unit('PA-0020', { csr });
  assert.equal(verdict(answer), 'retry 81 key-service-away');
  assert.equal(answer.status, 503);
  assert.match(String(answer.headers['retry-after']), /^\d+$/);
  await rig.start('keyd');
  assert.equal(verdict(await station.unit('PA-0020', { csr })), 'pass 0 done');
});

test('TEST-KEY-17 who signs on relieves who was there; a ca-operator signs off others; who was signed off stays so', async () => {
  const mine = await station.statement();
  const post = (signOn: object) => station.ask('POST', '/sign-on', { time: new Date().toISOString(), signOn });
  assert.equal((await post(mine)).status, 200);
  // The answer was lost: the same again changes nothing.
  assert.equal((await post(mine)).status, 200);
  const { stations } = told(await rig.rest('GET', '/stations', rig.person('pki'))) as {
    stations: { station: string }[];
  };
  assert.deepEqual(
    stations.map((one) => one.station),
    [ST_3],
  );
  const forbidden = await rig.rest('POST', `/stations/${ST_3}/sign-off`, rig.person('line-1'), {});
  assert.equal(forbidden.status, 403);
  const forced = await rig.rest('POST', `/stations/${ST_3}/sign-off`, rig.person('pki'), {});
  assert.deepEqual(told(forced), { station: ST_3, operator: 'line-1' });
  await refused('fail 60 sign-on-needed', 'sign-on.needed', () => station.unit('PA-0030'));
  await refused('fail 61 sign-on-over', 'sign-on.ended', () => post(mine));
  assert.equal((await station.signOn()).status, 200);
  assert.equal(told(await station.ask('POST', '/sign-off', {})).signedOn, null);
  assert.equal(told(await station.ask('POST', '/sign-off', {})).signedOn, null);
});

test('curl works at a station: it signs on, makes a unit, asks for its result, and signs off [curl: STATION sign-on, STATION unit, STATION result, STATION state, STATION sign-off]', async () => {
  const { dir } = station;
  const passphrase = readFileSync(station.passFile, 'utf8').trim();
  writeFileSync(join(dir, 'curl.conf'), `pass = "${passphrase}"\n`, { mode: 0o600 });
  const curl = async (path: string, body?: string): Promise<Record<string, unknown>> => {
    const tls = ['--cacert', 'root.pem', '--cert', 'station.pem', '--key', 'station.key.pem', '--config', 'curl.conf'];
    const send = body === undefined ? [] : ['--header', 'Content-Type: application/json', '--data', body];
    const url = `${rig.world.httpsUrl}/api/v1/station${path}`;
    return JSON.parse(await ok('curl', ['--silent', '--show-error', ...tls, ...send, url], { cwd: dir }));
  };
  const time = new Date().toISOString();
  const signOn = await station.statement();
  const state = await curl('/sign-on', JSON.stringify({ time, signOn }));
  assert.equal((state.signedOn as { operator: string }).operator, 'line-1');
  await ok(
    'openssl',
    [
      'req',
      '-new',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-noenc',
      '-keyout',
      'u.key',
      '-subj',
      '/CN=PA-0040',
      '-out',
      'u.csr',
    ],
    { cwd: dir },
  );
  const csr = readFileSync(join(dir, 'u.csr'), 'utf8');
  const unit = await curl('/units', JSON.stringify({ time, deviceId: 'PA-0040', csr }));
  assert.deepEqual([unit.result, unit.code], ['pass', 0]);
  writeFileSync(join(dir, 'u.pem'), String(unit.certificate));
  writeFileSync(join(dir, 'chain.pem'), String(unit.chain));
  assert.match(
    await ok('openssl', ['verify', '-CAfile', 'root.pem', '-untrusted', 'chain.pem', 'u.pem'], { cwd: dir }),
    /OK/,
  );
  assert.equal((await curl('/units/PA-0040')).certificate, unit.certificate);
  assert.deepEqual((await curl('/')).signedOn !== null, true);
  assert.equal((await curl('/sign-off', '{}')).signedOn, null);
});

test('TEST-KEY-17 a station that was revoked is none from then on, whoever is signed on there', async () => {
  const lost = await TestStation.enrol(rig, 'st-7.line-1.plant.example');
  assert.equal((await lost.signOn()).status, 200);
  assert.equal(verdict(await lost.unit('PA-0050')), 'pass 0 done');
  const body = {
    certificate: toPem('CERTIFICATE', fromPem('CERTIFICATE', lost.identity.cert)[0] ?? new Uint8Array()),
    reason: 'keyCompromise',
  };
  const revoked = await rig.rest('POST', '/revocations', rig.person('pki'), body);
  assert.equal(revoked.status, 200, revoked.text);
  await refused('fail 64 station-refused', 'client.certificate-revoked', () => lost.unit('PA-0051'));
});
