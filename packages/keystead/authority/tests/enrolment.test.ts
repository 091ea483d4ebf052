import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readCertificate } from '@keystead/core/x509';
import { codeOf, csrFor, DomainBed, makeKey, type TestDevice, type TestKey } from './bed.ts';

let bed: DomainBed;
let number = 0;
before(async () => {
  bed = await DomainBed.make();
});
after(() => bed.remove());

const newDevice = (key?: TestKey): Promise<TestDevice> => {
  number += 1;
  return bed.device(`KS-${String(number).padStart(4, '0')}`, key);
};

/** Asserts that `act` is refused with `code`, audited once with it, and changes nothing else. */
async function refused(code: string, act: () => Promise<unknown>): Promise<void> {
  const earlier = bed.counts();
  assert.equal(await codeOf(act()), code);
  const now = bed.counts();
  assert.equal(now.certificates, earlier.certificates);
  assert.equal(now.entries, earlier.entries + 1);
  const entry = bed.entries().at(-1);
  assert.equal(entry?.type, 'request.refused');
  assert.equal(entry?.outcome, 'refused');
  assert.equal(entry?.detail?.code, code);
}

/** A CSR that the foreign tool made. */
function opensslCsr(arguments_: string[]): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'keystead-csr-'));
  try {
    const out = join(directory, 'csr.der');
    const keyOut = join(directory, 'key.pem');
    const fixed = ['req', '-new', '-nodes', '-outform', 'DER', '-keyout', keyOut, '-out', out];
    execFileSync('openssl', [...fixed, ...arguments_], { stdio: 'pipe' });
    return new Uint8Array(readFileSync(out));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a device that shows its IDevID gets an LDevID, recorded with one audit entry, by which it is then known', async () => {
  const device = await newDevice();
  const issued = await bed.enrol(device);
  const info = readCertificate(issued.certificate);
  assert.deepEqual(info.san, [`URI:urn:keystead:device:${device.id}`]);
  const entries = bed.entries('certificate.issued').filter(({ subject }) => subject.serial === issued.serial);
  assert.equal(entries.length, 1);
  assert.equal(entries[0]?.actor.id, device.id);
  const client = await bed.client(issued.certificate);
  assert.equal(client.profile, 'ldevid');
  assert.equal(bed.store.read((records) => records.device(device.id))?.state, 'enrolled');
  assert.deepEqual(bed.authority.statusOf('operational', issued.serial), { status: 'good' });
});

test('a request that is sent again gets the certificate that it already got, and no other', async () => {
  const device = await newDevice();
  const csr = await csrFor(device.id, makeKey());
  const first = await bed.authority.enrol({ client: device.client, csr, requestId: 'a' });
  const earlier = bed.counts();
  const again = await bed.authority.enrol({ client: device.client, csr, requestId: 'b' });
  assert.deepEqual(again.certificate, first.certificate);
  assert.deepEqual([first.repeated, again.repeated], [false, true]);
  assert.deepEqual(bed.counts(), earlier);
});

test('a request that is sent many times at once is signed once', async () => {
  const device = await newDevice();
  const csr = await csrFor(device.id, makeKey());
  const { certificates: signedBefore } = await bed.keyd.client.status();
  const answers = await Promise.all(
    ['a', 'b', 'c', 'd'].map((requestId) => bed.authority.enrol({ client: device.client, csr, requestId })),
  );
  assert.equal(new Set(answers.map(({ serial }) => serial)).size, 1);
  assert.equal((await bed.keyd.client.status()).certificates, signedBefore + 1);
});

test('TEST-KEY-19 a second device that offers the key of another is refused, and both are reported', async () => {
  const [first, second] = [await newDevice(), await newDevice()];
  const key = makeKey();
  await bed.enrol(first, key);
  await refused('key.already-used', () => bed.enrol(second, key));
  const entry = bed.entries('request.refused').at(-1);
  assert.equal(entry?.actor.id, second.id);
  assert.equal(entry?.detail?.owner, `device:${first.id}`);
});

test('TEST-KEY-19 the key of an IDevID is refused for an LDevID, of the same device and of another', async () => {
  const [first, second] = [await newDevice(), await newDevice()];
  await refused('key.already-used', () => bed.enrol(first, first.key));
  await refused('key.already-used', () => bed.enrol(second, first.key));
});

test('TEST-KEY-19 of many devices that offer one key at the same moment, one gets a certificate', async () => {
  const devices = [await newDevice(), await newDevice(), await newDevice(), await newDevice(), await newDevice()];
  const key = makeKey();
  const outcomes = await Promise.all(devices.map((device) => codeOf(bed.enrol(device, key))));
  assert.deepEqual(outcomes.sort(), [
    'key.already-used',
    'key.already-used',
    'key.already-used',
    'key.already-used',
    'nothing was thrown',
  ]);
  assert.equal(bed.entries('certificate.abandoned').length, 0);
});

test('a copied public key without its private half is refused for the proof, and nobody is accused', async () => {
  const [first, second] = [await newDevice(), await newDevice()];
  const key = makeKey();
  await bed.enrol(first, key);
  const csr = await csrFor(second.id, key);
  csr[csr.length - 1] = (csr[csr.length - 1] ?? 0) ^ 1;
  await refused('csr.signature-invalid', () =>
    bed.authority.enrol({ client: second.client, csr, requestId: 'copied' }),
  );
  assert.equal(bed.entries('request.refused').at(-1)?.detail?.owner, undefined);
});

test('a renewal takes the current LDevID and a new key; the old certificate stays good until it ends', async () => {
  const device = await newDevice();
  const key = makeKey();
  const first = await bed.enrol(device, key);
  const client = await bed.client(first.certificate);
  const csr = await csrFor(device.id, makeKey());
  const next = await bed.authority.reenrol({ client, csr, requestId: 'renew' });
  assert.notEqual(next.serial, first.serial);
  assert.equal(bed.authority.statusOf('operational', first.serial).status, 'good');
  // The answer was lost: the device asks again, still with the old certificate.
  const again = await bed.authority.reenrol({ client, csr, requestId: 'renew again' });
  assert.equal(again.serial, next.serial);
  const sameKey = await csrFor(device.id, key);
  await refused('key.already-used', () => bed.authority.reenrol({ client, csr: sameKey, requestId: 'same key' }));
});

test('the very request of the current certificate does not renew it', async () => {
  const device = await newDevice();
  const csr = await csrFor(device.id, makeKey());
  const first = await bed.authority.enrol({ client: device.client, csr, requestId: 'first' });
  const client = await bed.client(first.certificate);
  await refused('key.already-used', () => bed.authority.reenrol({ client, csr, requestId: 'replay' }));
});

test('a first enrolment needs the IDevID, and a renewal the LDevID', async () => {
  const device = await newDevice();
  const issued = await bed.enrol(device);
  const client = await bed.client(issued.certificate);
  const csr = await csrFor(device.id, makeKey());
  await refused('enrol.certificate-unfit', () => bed.authority.enrol({ client, csr, requestId: 'x' }));
  const { client: idevid } = device;
  await refused('enrol.certificate-unfit', () => bed.authority.reenrol({ client: idevid, csr, requestId: 'y' }));
});

test('bad requests are refused with their rule, audited, and change nothing', async () => {
  const device = await newDevice();
  const enrol = (csr: Uint8Array) => () => bed.authority.enrol({ client: device.client, csr, requestId: 'bad' });
  const good = await csrFor(device.id, makeKey());
  const broken = Uint8Array.from(good);
  broken[broken.length - 1] = (broken[broken.length - 1] ?? 0) ^ 1;
  await refused('csr.signature-invalid', enrol(broken));
  await refused('csr.not-der', enrol(good.subarray(0, good.length - 3)));
  await refused('csr.not-der', enrol(new Uint8Array(100_000)));
  await refused('csr.not-der', enrol(new TextEncoder().encode('hello')));
  await refused('csr.subject-mismatch', enrol(await csrFor('KS-9999', makeKey())));
  const subject = ['-subj', `/CN=${device.id}`];
  await refused('key.algorithm-forbidden', enrol(opensslCsr(['-newkey', 'rsa:1024', ...subject])));
  await refused('key.algorithm-forbidden', enrol(opensslCsr(['-newkey', 'rsa:2048', ...subject])));
  const ca = ['-addext', 'basicConstraints=critical,CA:TRUE'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  await refused('csr.extension-forbidden', enrol(opensslCsr([...curve, ...subject, ...ca])));
  const issued = await bed.authority.enrol({
    client: device.client,
    csr: opensslCsr([...curve, ...subject]),
    requestId: 'good',
  });
  assert.equal(issued.repeated, false);
});

test('a device that was reported stolen is blocked, also when its request was already under way', async () => {
  const device = await newDevice();
  await bed.enrol(device);
  await bed.authority.revoke({
    selector: { deviceId: device.id },
    reason: 'keyCompromise',
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'stolen',
  });
  await refused('device.blocked', () => bed.enrol(device));
  await refused('client.certificate-revoked', () => bed.client(device.idevid));
});

test('TEST-KEY-14 a late device recovers by its IDevID within the grace period, and after it only when it is admitted again', async () => {
  const device = await newDevice();
  const first = await bed.enrol(device);
  bed.clock.advance(20 * 86_400);
  await refused('client.certificate-expired', () => bed.client(first.certificate));
  const recovered = await bed.enrol(device);
  bed.clock.set(new Date(recovered.notAfter.getTime() + 31 * 86_400_000));
  await refused('renewal.grace-ended', () => bed.enrol(device));
  const actor = { kind: 'operator', id: 'ada' } as const;
  const order = { deviceId: device.id, reason: 'it lay in a depot', actor, requestId: 'readmit' };
  const { until } = await bed.authority.readmit(order);
  const { renewalSeconds } = bed.policy.grace;
  assert.equal(Date.parse(until), bed.clock.now().getTime() + renewalSeconds * 1000);
  bed.clock.set(new Date(Date.parse(until) + 1_000));
  await refused('renewal.grace-ended', () => bed.enrol(device));
  await bed.authority.readmit(order);
  assert.equal((await bed.enrol(device)).repeated, false);
  assert.equal(bed.entries('device.readmitted').at(-1)?.detail?.reason, 'it lay in a depot');
  await refused('device.unknown', () => bed.authority.readmit({ ...order, deviceId: 'KS-9999' }));
  // An IDevID that nobody takes would make the answer a lie; it stands in the log why.
  const selector = { serial: readCertificate(device.idevid).serial };
  await bed.authority.revoke({ selector, reason: 'superseded', actor, requestId: 'idevid' });
  await refused('device.blocked', () => bed.authority.readmit(order));
  assert.equal(bed.entries('request.refused').at(-1)?.detail?.seen, 'its IDevID is revoked');
  await bed.authority.revoke({ selector: { deviceId: device.id }, reason: 'keyCompromise', actor, requestId: 'lost' });
  await refused('device.blocked', () => bed.authority.readmit(order));
});

test('an operator gets a certificate for the key in the policy, and for no other', async () => {
  const ada = await bed.operator('ada');
  assert.deepEqual(ada.roles, ['ca-operator']);
  const csr = await csrFor('ada', makeKey());
  await refused('operator.key-differs', () => bed.authority.operatorCertificate({ name: 'ada', csr, requestId: 'x' }));
  await refused('operator.unknown', () => bed.authority.operatorCertificate({ name: 'eve', csr, requestId: 'y' }));
});

test('a server gets a certificate for its names', async () => {
  const csr = await csrFor('localhost', makeKey());
  const actor = { kind: 'system', id: 'serve' } as const;
  const hosts = ['localhost', '127.0.0.1'];
  const issued = await bed.authority.serverCertificate({ hosts, csr, requestId: 'tls', actor });
  assert.deepEqual(readCertificate(issued.certificate).san, ['DNS:localhost', 'IP:127.0.0.1']);
  assert.equal(issued.issuer, 'server');
});

test('an operator whose answer was lost gets the same certificate again, after its end the next, and after a revocation none', async () => {
  const first = await bed.operator('aud');
  const again = await bed.operator('aud');
  assert.equal(again.serial, first.serial);
  const stranger = await csrFor('aud', bed.keyd.people.aud);
  stranger[stranger.length - 1] = (stranger[stranger.length - 1] ?? 0) ^ 1;
  await refused('csr.signature-invalid', () =>
    bed.authority.operatorCertificate({ name: 'aud', csr: stranger, requestId: 'z' }),
  );
  bed.clock.advance(366 * 86_400);
  const next = await bed.operator('aud');
  assert.notEqual(next.serial, first.serial);
  assert.equal((await bed.operator('aud')).serial, next.serial);
  const actor = { kind: 'operator', id: 'ada' } as const;
  const selector = { serial: next.serial };
  await bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'lost card' });
  const csr = await csrFor('aud', bed.keyd.people.aud);
  await refused('key.reported-compromised', () =>
    bed.authority.operatorCertificate({ name: 'aud', csr, requestId: 'w' }),
  );
  bed.clock.advance(366 * 86_400);
  await refused('key.reported-compromised', () =>
    bed.authority.operatorCertificate({ name: 'aud', csr, requestId: 'v' }),
  );
});

test('who asks for an operator certificate and shows none is a stranger: a flood fills a few entries each second', async () => {
  bed.clock.advance(1);
  const { entries } = bed.counts();
  const csr = await csrFor('eve', makeKey());
  for (let i = 0; i < 50; i += 1) {
    const asked = bed.authority.operatorCertificate({ name: 'eve', csr, requestId: `flood-${i}` });
    assert.equal(await codeOf(asked), 'operator.unknown');
  }
  assert.ok(bed.counts().entries - entries <= 5, `${bed.counts().entries - entries} entries`);
  assert.equal(bed.entries('request.refused').at(-1)?.actor.kind, 'anonymous');
});
