import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type DerCertificate, toBase64 } from '@keystead/core/bytes';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { assembleSigned, context, integer, nameDer, readCertificate, sequence } from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { csrFor, type HostileFrontEnd, KeydBed, makeKey, type RawAnswer } from './bed.ts';

let bed: KeydBed;
let hostile: HostileFrontEnd;
let unit: Result<'provision'>;
before(async () => {
  bed = await KeydBed.make();
  hostile = await bed.hostile();
  unit = await bed.provision('KS-0001', await bed.ticket());
});
after(() => bed.remove());

/** What a front end asks for on behalf of KS-0001, with changes. */
async function ask(change: Record<string, unknown> = {}): Promise<RawAnswer> {
  return hostile.ask('issue', {
    profile: 'ldevid',
    csr: toBase64(await csrFor('KS-0001')),
    requester: { kind: 'device', id: 'KS-0001', certificate: toBase64(unit.certificate) },
    requestId: 'r1',
    ...change,
  });
}

/** Refused with `code`, and with nothing in the journal. */
async function refused(code: string, asked: () => Promise<RawAnswer>): Promise<void> {
  const before = (await bed.client.status()).certificates;
  const { ok, error } = await asked();
  assert.equal(ok, undefined);
  assert.equal(error?.code, code, error?.message);
  assert.equal((await bed.client.status()).certificates, before);
}

test('a device gets an LDevID: its name, the times of the profile, the key that it proved', async () => {
  const key = makeKey();
  const issued = await bed.enrol('KS-0001', unit.certificate, key);
  const info = readCertificate(issued.certificate);
  assert.deepEqual(info.san, ['URI:urn:keystead:device:KS-0001']);
  assert.deepEqual(info.spki, key.spki);
  assert.equal(info.serial, issued.serial);
  assert.equal((info.notAfter.getTime() - info.notBefore.getTime()) / 1000, 90 + 30);
  assert.deepEqual(info.extKeyUsage, ['clientAuth']);
  assert.equal(info.ca, false);
});

test('TEST-KEY-13 a compromised front end gets no CA, no OCSP responder, no evidence or transcript signer, and no IDevID by itself', async () => {
  for (const profile of bed.policy.profiles) {
    if (['ldevid', 'tls-server', 'operator', 'station', 'cmp-ra', 'scep-ra'].includes(profile.id)) continue;
    for (const kind of ['system', 'device', 'operator', 'station']) {
      const requester = { kind, id: 'KS-0001', certificate: toBase64(unit.certificate) };
      await refused('profile.not-requestable', () => ask({ profile: profile.id, requester }));
    }
  }
  for (const kind of ['system', 'device', 'station']) {
    const requester = { kind, id: 'KS-0001', certificate: toBase64(unit.certificate) };
    await refused('profile.requester-forbidden', () => ask({ profile: 'station', requester }));
  }
  await refused('profile.unknown', () => ask({ profile: 'no-such' }));
  await refused('profile.unknown', () => ask({ profile: 'constructor' }));
});

test('TEST-KEY-13 it cannot choose times, names, extensions or a serial number: there is no place to say them', async () => {
  for (const extra of [
    { notAfter: '2099-01-01T00:00:00Z' },
    { validity: 1e9 },
    { subject: 'CN=KS-0002' },
    { extensions: ['basicConstraints'] },
    { serial: '01' },
    { tbs: 'AAAA' },
  ]) {
    await refused('request.malformed', () => ask(extra));
  }
});

test('TEST-KEY-13 it cannot ask in the name of a device whose certificate it does not show', async () => {
  const shown = toBase64(unit.certificate);
  const csr = toBase64(await csrFor('KS-0002'));
  await refused('requester.unproven', () => ask({ csr, requester: { kind: 'device', id: 'KS-0002' } }));
  await refused('requester.unproven', () =>
    ask({ csr, requester: { kind: 'device', id: 'KS-0002', certificate: shown } }),
  );
  await refused('csr.subject-mismatch', () => ask({ csr }));
  for (const kind of ['operator', 'station', 'system']) {
    await refused('profile.requester-forbidden', () =>
      ask({ csr, requester: { kind, id: 'KS-0002', certificate: shown } }),
    );
  }
});

test('TEST-KEY-13 a certificate of another PKI, a CA of ours, or one that was altered names nobody', async () => {
  const foreign = await KeydBed.make();
  try {
    const theirs = await foreign.provision('KS-0001', await foreign.ticket());
    const altered = Uint8Array.from(unit.certificate);
    altered[altered.length - 3] = (altered[altered.length - 3] ?? 0) ^ 1;
    const trust = await bed.client.trust();
    for (const certificate of [theirs.certificate, altered, trust.certificates.manufacturing, trust.evidenceSigner]) {
      const requester = { kind: 'device', id: 'KS-0001', certificate: toBase64(certificate) };
      await refused('requester.unproven', () => ask({ requester }));
    }
    const requester = { kind: 'device', id: 'KS-0001', certificate: toBase64(Buffer.from('no certificate')) };
    await refused('cert.not-der', () => ask({ requester }));
  } finally {
    await foreign.remove();
  }
});

test('TEST-KEY-13 an LDevID that has ended asks for nothing', async () => {
  const issued = await bed.enrol('KS-0001', unit.certificate);
  const requester = { kind: 'device', id: 'KS-0001', certificate: toBase64(issued.certificate) };
  assert.notEqual((await ask({ requester })).ok, undefined);
  bed.clock.advance(91);
  await refused('requester.unproven', () => ask({ requester }));
});

test('TEST-KEY-13 it cannot make itself an operator: each has the one key that the ceremony approved', async () => {
  const operator = async (name: string, key = makeKey()) =>
    ask({ profile: 'operator', csr: toBase64(await csrFor(name, key)), requester: { kind: 'operator', id: name } });
  await refused('operator.key-differs', () => operator('ada'));
  await refused('operator.unknown', () => operator('eve'));
  await refused('operator.key-differs', () => operator('lin', bed.people.ada));
  const { ok } = await operator('ada', bed.people.ada);
  const { certificate } = ok as { certificate: string };
  const info = readCertificate(Buffer.from(certificate, 'base64') as Uint8Array as DerCertificate);
  assert.deepEqual(info.san, ['URI:urn:keystead:person:ada']);
});

test('TEST-KEY-13 a server certificate is for host names only, and never for a client', async () => {
  const requester = { kind: 'system', id: 'serve' };
  const csr = toBase64(await csrFor('localhost'));
  const server = { profile: 'tls-server', csr, requester };
  const { ok } = await ask({ ...server, hosts: ['localhost', '127.0.0.1'] });
  const info = readCertificate(
    Buffer.from((ok as { certificate: string }).certificate, 'base64') as Uint8Array as DerCertificate,
  );
  assert.deepEqual(info.san, ['DNS:localhost', 'IP:127.0.0.1']);
  assert.deepEqual(info.extKeyUsage, ['serverAuth']);
  for (const hosts of [
    ['urn:keystead:device:KS-0001'],
    ['*.example'],
    ['a b'],
    ['EXAMPLE.com'],
    ['x\u0000y'],
    ['[::1]'],
  ]) {
    await refused('name.malformed', () => ask({ ...server, hosts }));
  }
  await refused('name.malformed', () => ask(server));
  await refused('request.malformed', () => ask({ hosts: ['localhost'] }));
  await refused('profile.requester-forbidden', () =>
    ask({ ...server, hosts: ['localhost'], requester: { kind: 'operator', id: 'ada' } }),
  );
});

test('TEST-KEY-13 a request without proof of possession, with a weak key or with forbidden extensions is refused in keyd itself', async () => {
  const csr = await csrFor('KS-0001');
  const flipped = Uint8Array.from(csr);
  flipped[flipped.length - 1] = (flipped[flipped.length - 1] ?? 0) ^ 1;
  await refused('csr.signature-invalid', () => ask({ csr: toBase64(flipped) }));
  await refused('csr.not-der', () => ask({ csr: toBase64(csr.subarray(0, 100)) }));
  await refused('csr.not-der', () => ask({ csr: toBase64(Buffer.concat([csr, Buffer.alloc(1)])) }));
  await refused('request.malformed', () => ask({ csr: 'not base64!' }));
  await refused('request.malformed', () => ask({ csr: toBase64(Buffer.alloc(65 * 1024)) }));
  const asCa = await withBasicConstraints('KS-0001');
  await refused('csr.extension-forbidden', () => ask({ csr: toBase64(asCa) }));
});

test('TEST-KEY-13 it cannot have the key of a CA certified under another name', async () => {
  // The CA's key can be copied from its certificate, but nobody outside keyd can prove its possession.
  const { certificates } = await bed.client.trust();
  const { spki } = readCertificate(certificates.operational);
  const { pkcs8 } = generateSoftwareKey('P-256');
  const other = softwareSigner('P-256', pkcs8);
  const info = sequence(integer(0), nameDer({ rdns: [{ type: 'CN', value: 'KS-0001' }] }), spki, context(0));
  const csr = assembleSigned(info, other.signatureAlgorithm, await other.sign(info));
  await refused('csr.signature-invalid', () => ask({ csr: toBase64(csr) }));
});

test('nothing is signed while the clock is before what was already signed', async () => {
  await ask();
  bed.clock.advance(-3);
  await refused('clock.went-back', () => ask());
  bed.clock.advance(1.5);
  assert.notEqual((await ask()).ok, undefined);
  bed.clock.advance(3);
});

/** A request that asks to be a CA, made by hand since no reader here would write one. */
async function withBasicConstraints(name: string): Promise<Uint8Array> {
  const { signer, spki } = makeKey();
  const oid = (...bytes: number[]) => Buffer.from([0x06, bytes.length, ...bytes]);
  const octets = (bytes: Uint8Array) => Buffer.concat([Buffer.from([0x04, bytes.length]), bytes]);
  const ca = sequence(Buffer.from([0x01, 0x01, 0xff]));
  const extension = sequence(oid(0x55, 0x1d, 0x13), Buffer.from([0x01, 0x01, 0xff]), octets(ca));
  const list = sequence(extension);
  const set = Buffer.concat([Buffer.from([0x31, list.length]), list]);
  const attribute = sequence(oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e), set);
  const info = sequence(integer(0), nameDer({ rdns: [{ type: 'CN', value: name }] }), spki, context(0, attribute));
  return assembleSigned(info, signer.signatureAlgorithm, await signer.sign(info));
}
