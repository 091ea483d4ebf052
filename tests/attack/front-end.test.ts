import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromBase64, type Serial, toBase64 } from '@keystead/core/bytes';
import { cmpMessage, directoryName, headerDer, requestBody } from '@keystead/core/cmp';
import { randomBytes } from '@keystead/core/crypto';
import {
  addRecountSignature,
  DEMO_TRUST,
  draftRecount,
  signCaRevocation,
  signTrustStatement,
} from '@keystead/core/lifecycle';
import { newSerial, OcspIssuer, readCertificate, signatureAlgorithmDer } from '@keystead/core/x509';
import fc from 'fast-check';
import { systemClock } from 'keystead/clock/system.ts';
import { greetPeer } from 'keystead/keyd/handshake.ts';
import { diversifiedRequest } from 'keystead/keyd/operations/derive-unit-key.ts';
import { csrFor, type HostileFrontEnd, makeKey, type RawAnswer, type TestKey } from 'keystead/keyd/tests/bed.ts';
import { releaseOf, signedBy } from 'keystead/keyd/tests/release.ts';
import { ST_3, signOnOf, stationOrderOf } from 'keystead/keyd/tests/station-bed.ts';
import { TpmMachine } from 'keystead/keyd/tests/tpm-machine.ts';
import { crmf } from 'keystead/serve/tests/cmp-speaker.ts';
import { judge } from './judge/judge.ts';
import { type Frames, framesOf } from './raw-frames.ts';
import { foreignCsr, Siege } from './siege.ts';

/**
 * A front end that was taken over altogether: it holds the channel key, speaks the protocol, and sends what it likes.
 * What keyd signs meanwhile is collected, and at the end each piece is held against the policy.
 */
let siege: Siege;
let front: HostileFrontEnd;
let ticket: string;
/** A device with a TPM, on a ticket that demands one. */
let pump: TpmMachine;
let attestedTicket: string;
/** What a front end has seen in honest work: two devices with their IDevIDs, one with an LDevID. */
const seen: { device: string; key: TestKey; idevid: string; ldevid: string }[] = [];

before(async () => {
  pump = await TpmMachine.start(systemClock);
  siege = await Siege.make({
    attestation: pump.maker(),
    unitKeys: { injected: ['idevid'], diversified: [{ purpose: 'telemetry', version: 1, bytes: 32 }] },
    trust: DEMO_TRUST,
  });
  front = await siege.front();
  ticket = await siege.bed.ticket({ id: 'siege', quota: 4, deviceIds: { prefix: 'KS-', from: 1, to: 40, width: 4 } });
  attestedTicket = await siege.bed.ticket({ id: 'siege-tpm', quota: 2, attestation: 'required' });
  for (const device of ['KS-0001', 'KS-0002']) {
    const key = makeKey();
    const unit = await done('provision', unitOf(device, await csrFor(device, key)));
    const requester = { kind: 'device', id: device, certificate: unit.certificate };
    const ldevid = await done('issue', { ...orderOf(toBase64(await csrFor(device))), requester });
    seen.push({ device, key, idevid: String(unit.certificate), ldevid: String(ldevid.certificate) });
  }
});
after(async () => {
  await siege.end();
  await pump.stop();
});

/** What a TPM shows, as it goes over the wire. */
const shownByTpm = (): Record<string, string> =>
  Object.fromEntries(Object.entries(pump.params()).map(([name, bytes]) => [name, toBase64(bytes)]));
const challengeOf = (deviceId: string, more: Record<string, unknown> = {}): Record<string, unknown> => {
  const { csr: _, ...unit } = unitOf(deviceId, new Uint8Array(0), { ticket: attestedTicket });
  return { ...unit, ...shownByTpm(), ...more };
};

/** The TPM's true answer to a challenge. */
async function answered(deviceId: string, made: Record<string, unknown>): Promise<Record<string, string>> {
  const [idObject, encryptedSecret] = [made.idObject, made.encryptedSecret].map((text) => fromBase64(String(text)));
  assert.ok(idObject !== undefined && encryptedSecret !== undefined);
  siege.answered.add(deviceId);
  return { challengeId: String(made.challengeId), secret: toBase64(await pump.answer({ idObject, encryptedSecret })) };
}

const unitOf = (deviceId: string, csr: Uint8Array, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  ticket,
  deviceId,
  csr: toBase64(csr),
  station: 'station-1',
  operator: 'lin',
  line: 'line-1',
  requestId: `unit-${deviceId}`,
  ...more,
});
const orderOf = (csr: string): Record<string, unknown> => ({ profile: 'ldevid', csr, requestId: 'order' });
const shown = (at: number): (typeof seen)[number] => {
  const one = seen[at];
  assert.ok(one);
  return one;
};

/** What an honest station has shown: its order and certificate, and a sign-on there. */
async function atStation(): Promise<{ issue: Record<string, unknown>; certificate: string; signOn: string }> {
  const operator = await done('issue', {
    ...orderOf(toBase64(await csrFor('ada', siege.bed.people.ada))),
    profile: 'operator',
    requester: { kind: 'operator', id: 'ada' },
  });
  siege.bed.clock.set(new Date());
  const { csr, order } = await stationOrderOf(siege.bed);
  const requester = { kind: 'operator', id: 'ada', certificate: operator.certificate, order };
  const issue = { profile: 'station', csr: toBase64(csr), requester, hosts: [ST_3], requestId: 'station' };
  const { certificate } = await done('issue', issue);
  return { issue, certificate: String(certificate), signOn: await signOnOf(siege.bed) };
}

/** An order with the CMP message in which the device signed it. */
async function signedOrder({ device, key, idevid }: (typeof seen)[number]): Promise<Record<string, unknown>> {
  const certificate = fromBase64(idevid) as DerCertificate;
  const request = await crmf({ name: device, key: makeKey() });
  const header = headerDer({
    version: 2,
    sender: directoryName(readCertificate(certificate).subjectDer),
    recipient: directoryName(),
    protectionAlg: signatureAlgorithmDer(key.signer.signatureAlgorithm),
    generalInfo: [],
  });
  const message = await cmpMessage({
    header,
    body: requestBody('ir', request),
    protect: (octets) => key.signer.sign(octets),
  });
  const requester = { kind: 'device', id: device, certificate: idevid, message: toBase64(message) };
  return { ...orderOf(toBase64(request)), format: 'crmf', requester };
}

async function done(op: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { ok, error } = await siege.ask(front, op, params);
  assert.equal(error, undefined, error?.message);
  return ok as Record<string, unknown>;
}

/** Refused with the code, and with nothing in the journal. */
async function refused(code: string, op: string, params: Record<string, unknown>): Promise<void> {
  const before = siege.entries.length;
  const { ok, error } = await siege.ask(front, op, params);
  assert.equal(ok, undefined);
  assert.equal(error?.code, code, error?.message);
  assert.equal(siege.entries.length, before);
}

async function stillServes(): Promise<void> {
  const client = await siege.honest();
  const { software } = await client.status();
  assert.match(software, /^keystead /);
  client.close();
  assert.deepEqual(siege.deaths, []);
}

test('TEST-KEY-13 a valid conversation that is broken anywhere ends there: flipped, cut, doubled, swapped, left out, renumbered, too long, empty', async () => {
  const breaks: Readonly<Record<string, (frames: Frames) => Buffer[]>> = {
    'a flipped bit': ({ bytes, flip }) => [bytes(0), flip(bytes(1), Math.floor(bytes(1).length / 2)), bytes(2)],
    'a flipped bit of the MAC': ({ bytes, flip }) => [bytes(0), flip(bytes(1), 6), bytes(2)],
    'a flipped bit of the last byte': ({ bytes, flip }) => [bytes(0), flip(bytes(1), bytes(1).length - 1), bytes(2)],
    'a cut frame and the next': ({ bytes }) => [bytes(0), bytes(1).subarray(0, -1), bytes(2)],
    'a frame twice': ({ bytes }) => [bytes(0), bytes(0), bytes(1)],
    'two frames swapped': ({ bytes }) => [bytes(0), bytes(2), bytes(1)],
    'a frame left out': ({ bytes }) => [bytes(0), bytes(2)],
    'a length of 4 GiB': ({ bytes }) => [bytes(0), Buffer.from('ffffffff', 'hex')],
    'a length of 8 MiB and a byte': ({ bytes }) => [bytes(0), Buffer.from('00800001', 'hex')],
    'a length of nothing': ({ bytes }) => [bytes(0), Buffer.alloc(4)],
    'a length too short for a MAC': ({ bytes }) => [bytes(0), Buffer.from('0000001f', 'hex'), Buffer.alloc(31)],
    'random bytes': ({ bytes }) => [bytes(0), Buffer.from(randomBytes(5000))],
  };
  for (const [what, make] of Object.entries(breaks)) {
    const { answers, ended } = await framesOf(siege, make);
    assert.equal(await ended, true, what);
    // The first was whole; its answer may have been on its way when the connection ended.
    assert.ok(answers.length === 0 || (answers.length === 1 && answers[0] === 0), `${what}: ${answers}`);
  }
  // In pieces of one byte it is whole: the decoder does not care how it comes.
  const whole = await framesOf(siege, ({ bytes }) => [...bytes(0), ...bytes(1)].map((byte) => Buffer.from([byte])));
  assert.deepEqual(await whole.until(2), [0, 1]);
  whole.end();
  await stillServes();
});

test('TEST-KEY-13 whatever bit of a conversation is flipped, nothing behind it is heard', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(2), fc.double({ min: 0, max: 0.999, noNaN: true }), async (frame, where) => {
      const { answers, ended, end } = await framesOf(siege, ({ bytes, flip }) =>
        [0, 1, 2].map((at) => (at === frame ? flip(bytes(at), Math.floor(where * bytes(at).length)) : bytes(at))),
      );
      // A length that has grown waits for the rest of its frame, which never comes.
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100))]);
      assert.ok(answers.length <= frame, `${answers}`);
      end();
    }),
    { numRuns: 40 },
  );
  await stillServes();
});

test('TEST-KEY-13 connections that say nothing, or begin and do not go on, take no memory to speak of, and others are served when they are gone', async () => {
  const before = siege.memory().now;
  const sockets = await Promise.all(Array.from({ length: 28 }, () => siege.socket()));
  for (const [index, socket] of sockets.entries()) {
    if (index % 2 === 0) socket.write('KSKEYD/1');
    else {
      // The attacker has the key: he announces the longest frame there is, and sends half of it.
      await greetPeer(socket, siege.key()).catch(() => undefined);
      socket.write(Buffer.from('00800000', 'hex'));
      socket.write(Buffer.alloc(2 * 1024 * 1024));
    }
  }
  await done('status', {});
  assert.ok(siege.memory().now - before < 200 * 1024, `${siege.memory().now - before} kB more`);
  for (const socket of sockets) socket.destroy();
  await stillServes();
});

test('TEST-KEY-13 no name of an operation signs bytes, exports a key, or is found on a prototype', async () => {
  for (const op of [
    'sign',
    'signBytes',
    'decrypt',
    'exportKey',
    'keys',
    '__proto__',
    'constructor',
    'toString',
    '',
    'Issue',
  ]) {
    await refused('request.malformed', op, { bytes: 'AAAA', key: 'ca-operational' });
  }
});

test('TEST-KEY-13 no profile of a CA, a responder, an evidence or transcript signer is given, whoever is said to ask', async () => {
  const { idevid } = shown(0);
  for (const { id } of siege.bed.policy.profiles) {
    if (['ldevid', 'tls-server', 'operator', 'cmp-ra', 'scep-ra', 'station'].includes(id)) continue;
    for (const kind of ['system', 'device', 'operator', 'station']) {
      const requester = { kind, id: 'KS-0001', certificate: idevid };
      await refused('profile.not-requestable', 'issue', {
        ...orderOf(toBase64(await csrFor('KS-0001'))),
        profile: id,
        requester,
      });
    }
  }
});

test('TEST-KEY-13 the indirect CRL of the root: it can have one made, has no say in it, and revokes no CA', async () => {
  await done('signRootCrl', {});
  const { serial } = readCertificate(siege.trust.certificates.operational as DerCertificate);
  for (const more of [
    { entries: [{ serial, revokedAt: new Date().toISOString(), reason: 'cACompromise' }] },
    { number: 1 },
    { nextUpdate: '2999-01-01T00:00:00Z' },
    { issuer: 'root' },
    { crlIssuer: 'root' },
  ])
    await refused('request.malformed', 'signRootCrl', more);
  const { spkiSha256 } = readCertificate(siege.trust.certificates.operational as DerCertificate);
  const order = { id: 'attack', ca: 'operational' as const, spkiSha256, reason: 'cACompromise' as const };
  const statement = async (by: 'ada' | 'pol', key: TestKey, act: 'propose' | 'approve') => {
    const now = Date.now();
    const at = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
    const times = { signedAt: at(now), expiresAt: at(now + 3_600_000) };
    const role = by === 'ada' ? ('ca-operator' as const) : ('policy-administrator' as const);
    return signCaRevocation({ act, order, proposer: 'ada', role, ...times }, by, key.signer);
  };
  // One operator is its accomplice; the other signature it has to make up.
  const proposal = await statement('ada', siege.bed.people.ada, 'propose');
  const revoke = (statements: unknown[]) => ({ statements, requestId: 'attack' });
  await refused('revocation-request.too-few', 'revokeCa', revoke([proposal]));
  const invented = await statement('pol', makeKey(), 'approve');
  await refused('revocation-request.signature-invalid', 'revokeCa', revoke([proposal, invented]));
  await refused('revocation-request.malformed', 'revokeCa', revoke(['{}']));
  const release = await signedBy(siege.bed, 'pol', releaseOf([{ issuer: 'operational', serial }]));
  await refused('revocation-request.malformed', 'revokeCa', revoke([proposal, release]));
  await refused('request.malformed', 'revokeCa', { ...revoke([proposal]), ca: 'operational' });
  await refused('request.malformed', 'revokeCa', revoke([]));
  await done('signRootCrl', {});
});

test('TEST-KEY-13 it can have any digest stamped, and has no say in when, by what policy or under what number', async () => {
  const stamp = { hash: 'sha256', imprint: toBase64(randomBytes(32)), certReq: true, requestId: 'stamp' };
  await done('signTimestamp', stamp);
  await done('signTimestamp', { ...stamp, nonce: toBase64(Uint8Array.of(0x7f, 1)), certReq: false });
  for (const more of [
    { time: '2020-01-01T00:00:00Z' },
    { serial: '01' },
    { accuracySeconds: 0 },
    { tsa: 'another' },
    { info: toBase64(randomBytes(64)) },
    { hash: 'sha1', imprint: toBase64(randomBytes(20)) },
    { nonce: toBase64(randomBytes(64)) },
    { policy: 'any' },
  ])
    await refused('request.malformed', 'signTimestamp', { ...stamp, ...more });
  await refused('tsp.policy-unknown', 'signTimestamp', { ...stamp, policy: '1.2.3' });
  await refused('tsp.malformed', 'signTimestamp', { ...stamp, imprint: toBase64(randomBytes(33)) });
  await refused('tsp.malformed', 'signTimestamp', { ...stamp, nonce: toBase64(Uint8Array.of(0, 1)) });
});

test('TEST-KEY-13 it has no say in how long a certificate lives, when it begins, or what its number is', async () => {
  const { device, idevid } = shown(0);
  const requester = { kind: 'device', id: device, certificate: idevid };
  const order = { ...orderOf(toBase64(await csrFor(device))), requester };
  for (const more of [
    { validity: { seconds: 1e9 } },
    { notAfter: '9999-12-31T23:59:59Z' },
    { notBefore: '2020-01-01T00:00:00Z' },
    { now: '2099-01-01T00:00:00Z' },
    { serial: '01' },
    { ticket },
  ]) {
    await refused('request.malformed', 'issue', { ...order, ...more });
  }
});

test('TEST-KEY-13 a key that keyd makes goes to a certificate of that very device, by the profile that the policy names, and to nobody else', async () => {
  const [one, two] = [shown(0), shown(1)];
  const csr = toBase64(await csrFor(one.device));
  const device = { id: one.device, certificate: one.idevid };
  const order = { profile: 'ldevid', csr, device, requestId: 'server-key' };
  await done('issueServerKey', order);
  await done('issueServerKey', { ...order, recipient: one.ldevid });
  const stranger = siege.trust.certificates.operational;
  for (const recipient of [two.idevid, two.ldevid, toBase64(stranger ?? new Uint8Array())])
    await refused('requester.unproven', 'issueServerKey', { ...order, recipient });
  for (const other of [
    { id: two.device, certificate: one.idevid },
    { id: one.device, certificate: two.idevid },
    { id: 'ada', certificate: one.idevid },
  ])
    await refused('requester.unproven', 'issueServerKey', { ...order, device: other });
  for (const profile of siege.bed.policy.profiles.map(({ id }) => id).filter((id) => id !== 'ldevid'))
    await refused('server-key.forbidden', 'issueServerKey', { ...order, profile });
  await refused('csr.subject-mismatch', 'issueServerKey', { ...order, csr: toBase64(await csrFor(two.device)) });
  const rsa = toBase64(await csrFor(one.device, makeKey('RSA-3072')));
  await refused('server-key.algorithm', 'issueServerKey', { ...order, csr: rsa });
  for (const more of [{ key: 'AAAA' }, { spki: 'AAAA' }, { algorithm: 'P-256' }, { notAfter: '9999-12-31T23:59:59Z' }])
    await refused('request.malformed', 'issueServerKey', { ...order, ...more });
  for (const missing of [
    { profile: 'ldevid', csr, requestId: 'r' },
    { ...order, device: { id: one.device } },
  ])
    await refused('request.malformed', 'issueServerKey', missing);
});

test('TEST-KEY-13 the RA of SCEP gets RSA alone, one name, and nothing that a device, a person or a server is known by', async () => {
  const server = { kind: 'system', id: 'serve' };
  const order = { profile: 'scep-ra', requester: server, requestId: 'ra' };
  const { certificate } = await done('issue', {
    ...order,
    csr: toBase64(await csrFor('Keystead SCEP RA', makeKey('RSA-3072'))),
  });
  const info = readCertificate(fromBase64(String(certificate)) as DerCertificate);
  assert.deepEqual([info.extKeyUsage, info.san, info.ca], [['cmcRA'], [], false]);
  await refused('key.algorithm-forbidden', 'issue', { ...order, csr: toBase64(await csrFor('Keystead SCEP RA')) });
  const named = toBase64(await csrFor('KS-0001', makeKey('RSA-3072')));
  await refused('csr.subject-mismatch', 'issue', { ...order, csr: named });
  for (const kind of ['device', 'operator', 'station'])
    await refused('profile.requester-forbidden', 'issue', { ...order, csr: named, requester: { kind, id: 'KS-0001' } });
  await refused('request.malformed', 'issue', { ...order, csr: named, hosts: ['localhost'] });
});

test('TEST-KEY-13 a request that carries more than its key does not bring it into a certificate: each is refused', async () => {
  const { device, idevid } = shown(0);
  const requester = { kind: 'device', id: device, certificate: idevid };
  for (const extensions of [
    ['basicConstraints=critical,CA:TRUE'],
    ['keyUsage=keyCertSign,cRLSign'],
    ['extendedKeyUsage=OCSPSigning'],
    ['extendedKeyUsage=serverAuth,clientAuth'],
    ['subjectAltName=URI:urn:keystead:device:KS-0002'],
    ['subjectAltName=URI:urn:keystead:person:ada'],
    ['subjectAltName=DNS:localhost'],
    ['nameConstraints=permitted;DNS:example'],
    ['certificatePolicies=2.5.29.32.0'],
    ['1.2.3.4=ASN1:UTF8String:anything'],
  ]) {
    const csr = toBase64(foreignCsr(device, extensions));
    const { ok, error } = await siege.ask(front, 'issue', { ...orderOf(csr), requester });
    assert.equal(ok, undefined, extensions[0]);
    assert.match(error?.code ?? '', /^csr\./, extensions[0]);
  }
});

test('TEST-KEY-13 a request id that is borrowed from another request gives nothing: neither its certificate nor its name', async () => {
  const { device, idevid } = shown(0);
  const other = shown(1);
  const requester = { kind: 'device', id: device, certificate: idevid };
  const borrowed = 'unit-KS-0001';
  // The same id with another key is a request of its own, judged by itself.
  const mine = await csrFor(device);
  const issued = await done('issue', { ...orderOf(toBase64(mine)), requester, requestId: borrowed });
  assert.notEqual(issued.certificate, idevid);
  const foreign = toBase64(await csrFor(other.device));
  await refused('csr.subject-mismatch', 'issue', { ...orderOf(foreign), requester, requestId: borrowed });
  await refused('requester.unproven', 'issue', {
    ...orderOf(foreign),
    requester: { ...requester, id: other.device },
    requestId: `unit-${other.device}`,
  });
  await refused('device.already-provisioned', 'provision', unitOf('KS-0001', mine, { requestId: borrowed }));
  await refused('key.already-used', 'provision', unitOf('KS-0009', await csrFor('KS-0009', shown(0).key)));
});

test('TEST-KEY-13 tickets: forged, altered, replayed under other lines, and raced for the last units over three connections', async () => {
  const forged = await siege.bed.ticket({ id: 'forged', quota: 1000 }, { name: 'ada', key: makeKey() });
  const csr = await csrFor('KS-0030');
  await refused('ticket.signature-invalid', 'provision', unitOf('KS-0030', csr, { ticket: forged }));
  const envelope = JSON.parse(ticket) as { payload: string; signatures: { signer: string; signature: string }[] };
  const payload = Buffer.from(envelope.payload, 'base64url').toString('utf8').replace('"quota":4', '"quota":400');
  const altered = { ...envelope, payload: Buffer.from(payload).toString('base64url') };
  await refused('ticket.signature-invalid', 'provision', unitOf('KS-0030', csr, { ticket: JSON.stringify(altered) }));
  const lent = { ...envelope, signatures: envelope.signatures.map((one) => ({ ...one, signer: 'lin' })) };
  await refused('ticket.signer-forbidden', 'provision', unitOf('KS-0030', csr, { ticket: JSON.stringify(lent) }));
  const bare = JSON.stringify({ ...envelope, signatures: [] });
  await refused('ticket.too-few-signatures', 'provision', unitOf('KS-0030', csr, { ticket: bare }));
  await refused('ticket.line-forbidden', 'provision', unitOf('KS-0030', csr, { line: 'line-2' }));
  await refused('ticket.device-forbidden', 'provision', unitOf('KS-0041', await csrFor('KS-0041')));
  await refused('operator.forbidden', 'provision', unitOf('KS-0030', csr, { operator: 'aud' }));
  await refused('request.malformed', 'provision', unitOf('KS-0030', csr, { quota: 400 }));
  const fronts = [front, await siege.front(), await siege.front()];
  const asked = Array.from({ length: 24 }, async (_, n) => {
    const device = `KS-00${String(10 + n)}`;
    return siege.ask(fronts[n % 3] ?? front, 'provision', unitOf(device, await csrFor(device)));
  });
  const answers = await Promise.all(asked);
  assert.equal(answers.filter(({ ok }) => ok !== undefined).length, 2);
  assert.equal(answers.filter(({ error }) => error?.code === 'ticket.quota-exhausted').length, 22);
  for (const one of fronts.slice(1)) one.end();
});

test('TEST-KEY-13 attestation: what the front end says of a TPM is not in a record; only what the TPM has answered to keyd is', async () => {
  const csr = await pump.csr('KS-0035');
  const unit = (more: Record<string, unknown> = {}) => unitOf('KS-0035', csr, { ticket: attestedTicket, ...more });
  await refused('attestation.required', 'provision', unit());
  const invented = { challengeId: '0'.repeat(32), secret: toBase64(randomBytes(32)) };
  await refused('attestation.challenge-refused', 'provision', unit({ attestation: invented }));
  for (const more of [
    { key: { origin: 'tpm2-attested' } },
    { attested: true },
    { attestation: { ...invented, key: 'attested' } },
    { attestation: 'tpm2-attested' },
  ]) {
    await refused('request.malformed', 'provision', unit(more));
  }
  // Keys of its own, of which it says that they are a TPM's, and a statement that it signs itself.
  const own = toBase64(makeKey().spki);
  await refused('attestation.key-refused', 'challengeAttestation', challengeOf('KS-0035', { akPublic: own }));
  await refused('attestation.ek-refused', 'challengeAttestation', challengeOf('KS-0035', { ekPublic: own }));
  // The true TPM is challenged; it is not asked, or its answer is used for something else.
  const made = await done('challengeAttestation', challengeOf('KS-0035'));
  const guess = { challengeId: made.challengeId, secret: toBase64(randomBytes(32)) };
  await refused('attestation.challenge-refused', 'provision', unit({ attestation: guess }));
  for (const more of [{ deviceId: 'KS-0036' }, { operator: 'lin', station: 'another' }]) {
    const attestation = await answered('KS-0035', await done('challengeAttestation', challengeOf('KS-0035')));
    siege.answered.delete('KS-0035');
    const order = unit({ attestation, ...more, csr: toBase64(await pump.csr(more.deviceId ?? 'KS-0035')) });
    await refused('attestation.challenge-refused', 'provision', order);
    await refused('attestation.challenge-refused', 'provision', unit({ attestation }));
  }
  const software = toBase64(await csrFor('KS-0035'));
  const borrowed = await answered('KS-0035', await done('challengeAttestation', challengeOf('KS-0035')));
  await refused('attestation.challenge-refused', 'provision', unit({ attestation: borrowed, csr: software }));
  const attestation = await answered('KS-0035', await done('challengeAttestation', challengeOf('KS-0035')));
  const { record } = await done('provision', unit({ attestation }));
  assert.match(String(record), /origin: "tpm2-attested"/);
  await refused('attestation.challenge-refused', 'provision', unit({ attestation }));
});

test('TEST-KEY-13 stations: none without an operator’s order for this very key, no unit in the name of somebody who is not signed on there, and none after they are signed off', async () => {
  const { issue, certificate, signOn } = await atStation();
  const { order: _, ...without } = issue.requester as Record<string, unknown>;
  await refused('request.malformed', 'issue', { ...issue, requester: without });
  await refused('profile.requester-forbidden', 'issue', { ...issue, requester: { kind: 'system', id: 'serve' } });
  const mine = toBase64(await csrFor(ST_3));
  await refused('station-order.differs', 'issue', { ...issue, csr: mine });
  await refused('station-order.differs', 'issue', {
    ...issue,
    csr: toBase64(await csrFor('st-4.line-1.plant.example')),
    hosts: ['st-4.line-1.plant.example'],
  });
  const csr = await csrFor('KS-0033');
  const from = { station: ST_3, at: { certificate, signOn } };
  const unit = (more: Record<string, unknown> = {}) => unitOf('KS-0033', csr, { ...from, ...more });
  await refused('sign-on.differs', 'provision', unit({ operator: 'ada' }));
  await refused('sign-on.differs', 'provision', unit({ line: 'line-2' }));
  await refused('sign-on.differs', 'provision', unit({ station: 'station-1' }));
  await refused('requester.unproven', 'provision', unit({ at: { certificate: shown(0).idevid, signOn } }));
  const forged = await signOnOf(siege.bed, {}, { name: 'lin', key: makeKey() });
  await refused('sign-on.signature-invalid', 'provision', unit({ at: { certificate, signOn: forged } }));
  await refused('sign-on.signature-invalid', 'signOff', { signOn: forged, by: 'ada', requestId: 'off' });
  await refused('operator.forbidden', 'signOff', { signOn, by: 'aud', requestId: 'off' });
  await done('signOff', { signOn, by: 'ada', requestId: 'off' });
  await refused('sign-on.ended', 'provision', unit());
});

test('TEST-KEY-13 OCSP: no good for what was never issued, is of another CA, or was revoked; no times of the caller’s', async () => {
  const ca = new OcspIssuer(siege.trust.certificates.operational as DerCertificate);
  const [one, two] = [0, 1].map((at) => readCertificate(fromBase64(shown(at).ldevid) as DerCertificate).serial);
  assert.ok(one !== undefined && two !== undefined);
  const sign = (serial: Serial, more: Record<string, unknown> = {}) => ({
    issuer: 'operational',
    responses: [{ certId: toBase64(ca.certId(serial)), status: 'good', ...more }],
  });
  await done('signOcsp', sign(one));
  const revokedAt = new Date().toISOString();
  for (const serial of [newSerial(), readCertificate(fromBase64(shown(0).idevid) as DerCertificate).serial]) {
    await refused('ocsp.never-issued', 'signOcsp', sign(serial));
  }
  await refused('ocsp.issuer-differs', 'signOcsp', { ...sign(one), issuer: 'manufacturing' });
  await refused('revocation.malformed', 'signOcsp', sign(one, { revokedAt }));
  await refused(
    'revocation.malformed',
    'signOcsp',
    sign(one, { status: 'revoked', revokedAt: '2999-01-01T00:00:00Z' }),
  );
  for (const more of [{ thisUpdate: revokedAt }, { nextUpdate: '2999-01-01T00:00:00Z' }, { producedAt: revokedAt }]) {
    await refused('request.malformed', 'signOcsp', { ...sign(one), ...more });
  }
  // Revoked once, and then: left out, held instead, listed under a lower number, said to be good.
  const list = (number: number, entries: unknown[]) => ({ issuer: 'operational', number, entries });
  await done('signCrl', list(5, [{ serial: one, revokedAt, reason: 'keyCompromise' }]));
  for (const entries of [[], [{ serial: one, revokedAt, reason: 'certificateHold' }], [{ serial: two, revokedAt }]]) {
    const { crl: number } = { crl: 6 + siege.signed.filter(({ op }) => op === 'signCrl').length };
    await done('signCrl', list(number, entries));
    await refused('revocation.undone', 'signOcsp', sign(one));
    await refused('revocation.undone', 'signOcsp', sign(one, { status: 'unknown' }));
  }
  for (const number of [5, 1]) await refused('crl.number-used', 'signCrl', list(number, []));
  await refused('crl.number-skips', 'signCrl', list(Number.MAX_SAFE_INTEGER, []));
  await refused('request.malformed', 'signCrl', list(100, [{ serial: one, revokedAt, reason: 'removeFromCRL' }]));
  // Lists that the policy does not have.
  await refused('crl.shard-unknown', 'signCrl', { ...list(100, []), shard: { index: 0, of: 2 } });
  await refused('crl.delta-forbidden', 'signCrl', { ...list(100, []), deltaOnly: true });
  await refused('request.malformed', 'signCrl', { ...list(100, []), file: '../keyd/journal' });
  // Listed without a CRL is as final as on one.
  const listed = await front.ask('listRevocations', {
    issuer: 'manufacturing',
    entries: [{ serial: newSerial(), revokedAt, reason: 'superseded' }],
  });
  assert.deepEqual(listed.ok, { fresh: 1, withheld: 0 });
  // And the device that it belonged to asks for nothing with it any more.
  const requester = { kind: 'device', id: shown(0).device, certificate: shown(0).ldevid };
  await refused('requester.revoked', 'issue', { ...orderOf(toBase64(await csrFor(shown(0).device))), requester });
});

test('TEST-KEY-13 a hold: not left out, not said to be good, not released without an operator, nor with an order for another, twice, or of the wrong role', async () => {
  const serial = newSerial();
  const other = newSerial();
  const revokedAt = new Date().toISOString();
  const numbers = (await siege.ask(front, 'status', {})).ok as { crlNumbers: Record<string, number> };
  let number = numbers.crlNumbers.operational ?? 0;
  const list = (entries: unknown[]) => {
    number += 1;
    return { issuer: 'operational', number, entries };
  };
  const hold = (one: Serial) => ({ serial: one, revokedAt, reason: 'certificateHold' });
  await done('signCrl', list([hold(serial), hold(other)]));
  const ca = new OcspIssuer(siege.trust.certificates.operational as DerCertificate);
  const good = {
    issuer: 'operational',
    responses: [{ certId: toBase64(ca.certId(serial)), status: 'good' }],
  };
  await done('signCrl', list([]));
  await refused('revocation.undone', 'signOcsp', good);
  const order = releaseOf([{ issuer: 'operational', serial }]);
  const ask = (statements: unknown, ...serials: Serial[]) => ({
    statements,
    certificates: serials.map((one) => ({ issuer: 'operational', serial: one })),
    requestId: 'release',
  });
  const statement = await signedBy(siege.bed, 'ada', order);
  const { payload } = JSON.parse(statement) as { payload: string };
  const key = await softSign(payload);
  for (const [code, statements, ...serials] of [
    ['request.malformed', [], serial],
    ['revocation-request.signature-invalid', [JSON.stringify({ payload, signer: 'ada', signature: key })], serial],
    ['revocation-request.signer-forbidden', [await signedBy(siege.bed, 'aud', order)], serial],
    ['revocation-request.list-differs', [statement], other],
    ['revocation-request.list-differs', [statement], serial, other],
    ['revocation-request.malformed', [await signedBy(siege.bed, 'ada', { ...order, act: 'hold' })], serial],
  ] as const) {
    await refused(code, 'releaseHold', ask(statements, ...serials));
    await refused('revocation.undone', 'signOcsp', good);
  }
  await done('releaseHold', ask([statement], serial));
  // The old order again releases nothing that was put on hold since.
  const later = new Date(Date.now() + 1000).toISOString();
  await done('signCrl', list([{ serial, revokedAt: later, reason: 'certificateHold' }]));
  await done('releaseHold', ask([statement], serial));
  await refused('revocation.undone', 'signOcsp', good);
});

/** A signature by a key of the attacker's. */
async function softSign(payload: string): Promise<string> {
  const signature = await makeKey().signer.sign(Buffer.from(payload, 'base64url'));
  return Buffer.from(signature).toString('base64url');
}

test('TEST-KEY-13 the log: no leaf is taken back or changed, no size is made up, and of two histories at once one is signed', async () => {
  const leaf = (): string => toBase64(randomBytes(32));
  const first = [leaf(), leaf(), leaf()];
  await done('signCheckpoint', { size: 0, leaves: first });
  for (const params of [
    { size: 0, leaves: [leaf()] },
    { size: 1, leaves: [] },
    { size: 2, leaves: [leaf(), leaf()] },
    { size: 4, leaves: [leaf()] },
    { size: 0, leaves: [first[1], first[0]] },
    { size: Number.MAX_SAFE_INTEGER, leaves: [] },
  ]) {
    await refused('log.size-mismatch', 'signCheckpoint', params);
  }
  await refused('request.malformed', 'signCheckpoint', { size: 3, leaves: [toBase64(randomBytes(31))] });
  await refused('request.malformed', 'signCheckpoint', { size: 3, leaves: [], root: leaf() });
  const other = await siege.front();
  const both = await Promise.all(
    [front, other].map((one) => siege.ask(one, 'signCheckpoint', { size: 3, leaves: [leaf()] })),
  );
  assert.deepEqual(both.map(({ error }) => error?.code ?? 'signed').sort(), ['log.size-mismatch', 'signed']);
  other.end();
});

test('TEST-KEY-13 evidence: not of a device of another house, not while the IDevID is in force, not with revocations that never were', async () => {
  const { device, idevid } = shown(1);
  const { serial } = readCertificate(fromBase64(idevid) as DerCertificate);
  const revokedAt = new Date().toISOString();
  const end = {
    kind: 'decommission',
    deviceId: device,
    reason: 'stolen',
    operator: 'ada',
    wiped: [],
    revoked: [],
    requestId: 'end',
  };
  await refused('device.not-provisioned', 'signEvidence', { ...end, deviceId: 'PUMP-77' });
  await refused('evidence.not-revoked', 'signEvidence', end);
  const claimed = { serial, issuer: 'manufacturing', revokedAt, reason: 'keyCompromise' };
  await refused('evidence.not-revoked', 'signEvidence', { ...end, revoked: [claimed] });
  await done('signCrl', { issuer: 'manufacturing', number: 1, entries: [{ serial, revokedAt }] });
  const made = { ...claimed, serial: newSerial() };
  await refused('evidence.not-revoked', 'signEvidence', { ...end, revoked: [claimed, made] });
  await refused('operator.forbidden', 'signEvidence', { ...end, operator: 'aud' });
  await refused('request.malformed', 'signEvidence', { ...end, kind: 'provisioning' });
  await done('signEvidence', { ...end, revoked: [claimed] });
});

test('TEST-KEY-13 a person’s certificate is for the key in the policy, a server’s for hosts: no key of the attacker’s becomes a person', async () => {
  for (const name of ['ada', 'lin', 'aud']) {
    const order = {
      ...orderOf(toBase64(await csrFor(name))),
      profile: 'operator',
      requester: { kind: 'operator', id: name },
    };
    await refused('operator.key-differs', 'issue', order);
  }
  const server = {
    ...orderOf(toBase64(await csrFor('localhost'))),
    profile: 'tls-server',
    requester: { kind: 'system', id: 'serve' },
  };
  for (const host of ['urn:keystead:person:ada', '*', 'a/b', 'ada@example.com', '']) {
    const { ok } = await siege.ask(front, 'issue', { ...server, hosts: [host] });
    assert.equal(ok, undefined, host);
  }
  await done('issue', { ...server, hosts: ['localhost'] });
});

/** What stands where something else was expected. */
const HOSTILE: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  '',
  ' ',
  'a'.repeat(70_000),
  '\u0000',
  '\ud800',
  '💥',
  'ldevid\u0000',
  '../../keyd/journal',
  'operational-ca',
  'ocsp-responder',
  '9999-12-31T23:59:59Z',
  '0000-01-01T00:00:00Z',
  'AAAA',
  'MAA=',
  [],
  {},
  [[[[[[]]]]]],
  Array(2000).fill('00'),
  JSON.parse(`${'['.repeat(2000)}${']'.repeat(2000)}`),
  JSON.parse('{"__proto__":{"kind":"system","id":"serve"}}'),
  JSON.parse('{"constructor":{"prototype":{"profile":"root-ca"}}}'),
  { toString: 'x', valueOf: 1, length: 1e9 },
];

type Path = readonly (string | number)[];

/** Every place in a value. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inside = Object.entries(value).flatMap(([key, one]) =>
    pathsOf(one, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return path.length === 0 ? inside : [path, ...inside];
}

const memberOf = (value: unknown, key: string | number): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;

/** The value with another at a path; without it when that is undefined. */
function changed(value: unknown, [key, ...rest]: Path, put: (old: unknown) => unknown): unknown {
  if (key === undefined) return put(value);
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string | number, unknown> = Array.isArray(value) ? ([...value] as never) : { ...value };
  copy[key] = changed(copy[key], rest, put);
  return copy;
}

/** An order that its quorum signed, for a counter that this keyd does not have. */
async function recountOf(log: string): Promise<string> {
  const at = new Date();
  const counter = { make: 'tpm2', name: 'a TPM', value: 7, mark: '00'.repeat(16) } as const;
  const order = draftRecount({
    log,
    counter,
    journal: 5,
    reason: 'none',
    at,
    expiresAt: new Date(at.getTime() + 3_600_000),
  });
  return addRecountSignature(order, 'ada', siege.bed.people.ada.signer);
}

/** Bytes in base64 with one bit flipped, wherever a string is base64 of something. */
function flipped(old: unknown, at: number): unknown {
  if (typeof old !== 'string' || old.length < 8) return old === 0 ? 1 : 0;
  const bytes = Buffer.from(old, 'base64');
  const index = at % Math.max(1, bytes.length);
  bytes[index] = (bytes[index] ?? 0) ^ (1 << (at % 8));
  return bytes.toString('base64');
}

/** That one person asks for a bundle: it takes another one's approval. */
function bundleProposal(): Promise<string> {
  const at = Math.floor(Date.now() / 1000) * 1000;
  const time = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const window = { from: at / 1000 - 60, until: at / 1000 + 400 * 86_400 };
  const signers = [{ spki: toBase64(makeKey().spki), ...window }];
  const content = { anchors: [], pins: [], signers, firmware: [] };
  const order = { id: 'siege', fleet: DEMO_TRUST.fleet, change: 1, content, strand: false, reason: 'an attack' };
  const times = { signedAt: time(at), expiresAt: time(at + 3_600_000) };
  const statement = { act: 'propose', order, proposer: 'ada', role: 'ca-operator', ...times } as const;
  return signTrustStatement(statement, 'ada', siege.bed.people.ada.signer);
}

test('TEST-KEY-13 valid requests of every kind, each changed in one place, 1600 times: keyd answers each, breaks over none, and signs nothing that the policy forbids', async () => {
  const { device, idevid } = shown(1);
  const requester = { kind: 'device', id: device, certificate: shown(1).ldevid };
  const server = { kind: 'system', id: 'serve' };
  const ca = new OcspIssuer(siege.trust.certificates.server as DerCertificate);
  const signer = readCertificate(siege.trust.evidenceSigner).serial;
  const now = new Date().toISOString();
  const { serial } = readCertificate(fromBase64(idevid) as DerCertificate);
  const held = newSerial();
  const hold = { serial: held, revokedAt: now, reason: 'certificateHold' };
  await done('signCrl', { issuer: 'server', number: 1, entries: [hold] });
  const release = releaseOf([{ issuer: 'server', serial: held }]);
  const station = await atStation();
  const wrapTo = makeKey().spki;
  const injectedTicket = await siege.bed.ticket({
    id: 'siege-injected',
    quota: 4,
    keyOrigins: ['injected', 'proof-of-possession'],
  });
  const asks = makeKey();
  const askingUnit = unitOf('KS-0039', await csrFor('KS-0039', asks), { ticket: injectedTicket });
  const { certificate: asking } = await done('provision', askingUnit);
  const seeds: readonly (readonly [op: string, params: Record<string, unknown>])[] = [
    [
      'releaseHold',
      {
        statements: [await signedBy(siege.bed, 'ada', release)],
        certificates: [{ issuer: 'server', serial: held }],
        requestId: 'release',
      },
    ],
    // packages/keystead/keyd/tests/revocation-order.test.ts has what is approved; here the policy asks for nobody besides.
    [
      'orderRevocation',
      {
        statements: [await signedBy(siege.bed, 'ada', release)],
        list: [{ issuer: 'server', serials: [held] }],
        requestId: 'o',
      },
    ],
    // packages/keystead/backup/tests/restore-quorum.test.ts has a restore that is pending: here none is.
    ['agreeRestore', { statements: [await signedBy(siege.bed, 'ada', release)], requestId: 'agree' }],
    ['signRootCrl', {}],
    // tests/attack/firmware.test.ts has what is approved: here nothing is.
    [
      'signFirmware',
      { statements: [await signedBy(siege.bed, 'ada', release)], subject: toBase64(randomBytes(32)), requestId: 'fw' },
    ],
    // packages/keystead/keyd/tests/trust.test.ts has what is approved, and filters that lie: here nothing is approved.
    [
      'signTrustBundle',
      { statements: [await bundleProposal()], filter: [toBase64(randomBytes(200))], requestId: 'bundle' },
    ],
    ['signTrustBundle', { statements: [], filter: [], requestId: 'refresh' }],
    ['trustBundles', { after: 0, limit: 10 }],
    ['trustStatus', {}],
    ['trustRevocations', { issuer: 'server', from: 0, limit: 10 }],
    ['trustSerials', { issuer: 'server', from: 0, limit: 10 }],
    ['trustIssuers', {}],
    ['firmwareSignatures', { key: 'pump-1', from: 0, limit: 10 }],
    ['firmwareKeys', {}],
    // tests/attack/firmware.test.ts has what is approved.
    ['orderFirmwareKey', { statements: [await signedBy(siege.bed, 'ada', release)], requestId: 'key' }],
    // tests/attack/tuf.test.ts has what people signed: here nothing is.
    [
      'signTufStatus',
      {
        repository: 'pump',
        roots: [toBase64(Buffer.from('{"signatures":[],"signed":{"_type":"root"}}'))],
        targets: toBase64(Buffer.from('{"signatures":[],"signed":{"_type":"targets"}}')),
        requestId: 'tuf',
      },
    ],
    ['tufRepositories', {}],
    [
      'signTimestamp',
      {
        hash: 'sha256',
        imprint: toBase64(randomBytes(32)),
        nonce: toBase64(Uint8Array.of(1, 2, 3)),
        certReq: true,
        requestId: 'stamp',
      },
    ],
    ['revokeCa', { statements: [await signedBy(siege.bed, 'ada', release)], requestId: 'ca' }],
    ['issue', { ...orderOf(toBase64(await csrFor(device))), requester }],
    [
      'issue',
      {
        ...orderOf(toBase64(await csrFor('localhost'))),
        profile: 'tls-server',
        requester: server,
        hosts: ['localhost'],
      },
    ],
    [
      'issue',
      {
        ...orderOf(toBase64(await csrFor('ada', siege.bed.people.ada))),
        profile: 'operator',
        requester: { kind: 'operator', id: 'ada' },
      },
    ],
    ['issue', await signedOrder(shown(1))],
    [
      'issue',
      {
        ...orderOf(toBase64(await csrFor('Keystead CMP registration authority'))),
        profile: 'cmp-ra',
        requester: server,
      },
    ],
    ['provision', unitOf(device, await csrFor(device, shown(1).key))],
    ['issue', station.issue],
    [
      'provision',
      unitOf('KS-0034', await csrFor('KS-0034'), {
        station: ST_3,
        at: { certificate: station.certificate, signOn: station.signOn },
      }),
    ],
    ['signOff', { signOn: station.signOn, by: 'ada', requestId: 'off' }],
    ['recount', { order: await recountOf(siege.trust.vkey), requestId: 'recount' }],
    ['challengeAttestation', challengeOf('KS-0035')],
    [
      'makeUnitKey',
      (() => {
        const { csr: _, ...unit } = unitOf('KS-0036', new Uint8Array(0), { ticket: injectedTicket });
        return { ...unit, algorithm: 'P-256', recipient: toBase64(makeKey().spki) };
      })(),
    ],
    [
      'challengeElement',
      (() => {
        const { csr: _, ...unit } = unitOf('KS-0037', new Uint8Array(0));
        return { ...unit, chain: [idevid] };
      })(),
    ],
    [
      'provision',
      unitOf('KS-0038', await csrFor('KS-0038'), {
        ticket: injectedTicket,
        way: { kind: 'secure-element', chain: [idevid] },
      }),
    ],
    [
      'deriveUnitKey',
      {
        deviceId: 'KS-0039',
        purpose: 'telemetry',
        certificate: asking,
        recipient: toBase64(wrapTo),
        proof: toBase64(await asks.signer.sign(diversifiedRequest('telemetry', 'KS-0039', wrapTo))),
        requestId: 'derive',
      },
    ],
    [
      'provision',
      unitOf('KS-0035', await pump.csr('KS-0035'), {
        ticket: attestedTicket,
        attestation: { challengeId: '0'.repeat(32), secret: toBase64(randomBytes(32)) },
      }),
    ],
    [
      'issueServerKey',
      {
        profile: 'ldevid',
        csr: toBase64(await csrFor(device)),
        device: { id: device, certificate: idevid },
        recipient: shown(1).ldevid,
        requestId: 'server-key',
      },
    ],
    [
      'signOcsp',
      {
        issuer: 'server',
        nonce: toBase64(randomBytes(16)),
        responses: [{ certId: toBase64(ca.certId(signer)), status: 'good' }],
      },
    ],
    [
      'signOcsp',
      {
        issuer: 'server',
        responses: [
          { certId: toBase64(ca.certId(newSerial())), status: 'revoked', revokedAt: now, reason: 'superseded' },
        ],
      },
    ],
    [
      'signCrl',
      { issuer: 'operator', number: 1, entries: [{ serial: newSerial(), revokedAt: now, reason: 'superseded' }] },
    ],
    ['signCrl', { issuer: 'operator', number: 1, shard: { index: 0, of: 2 }, deltaOnly: true, entries: [] }],
    [
      'listRevocations',
      { issuer: 'operator', entries: [{ serial: newSerial(), revokedAt: now, reason: 'superseded' }] },
    ],
    ['signCheckpoint', { size: 4, leaves: [toBase64(randomBytes(32))] }],
    [
      'signEvidence',
      {
        kind: 'decommission',
        deviceId: device,
        reason: 'end',
        operator: 'ada',
        wiped: ['key'],
        revoked: [{ serial, issuer: 'manufacturing', revokedAt: now, reason: 'superseded' }],
        requestId: 'e',
      },
    ],
    ['takeCrls', { crls: [toBase64(randomBytes(64))] }],
    ['sealParcel', { number: 1, consignmentSha256: 'a'.repeat(64), contentsSha256: 'b'.repeat(64), requestId: 's' }],
    ['signHello', { requestId: 'h' }],
    ['policyUpdate', { version: 2 }],
    ['journal', { from: 0, limit: 10 }],
    ['status', {}],
  ];
  for (const [op, params] of seeds) if (op === 'makeUnitKey' || op === 'deriveUnitKey') await done(op, params);
  // What is valid in one place is tried in every other.
  const lent = seeds.flatMap(([, params]) => pathsOf(params).map((path) => path.reduce<unknown>(memberOf, params)));
  const order = fc.record({
    seed: fc.nat(seeds.length - 1),
    where: fc.nat(1000),
    how: fc.constantFrom('put', 'drop', 'flip', 'flip', 'borrow', 'borrow', 'add'),
    what: fc.nat(HOSTILE.length - 1),
    bit: fc.nat(100_000),
  });
  let attacker = await siege.front();
  for (let round = 0; round < 40; round += 1) {
    const orders = fc.sample(order, { numRuns: 40, seed: 4711 + round });
    const answers = await Promise.all(
      orders.map(({ seed, where, how, what, bit }): Promise<RawAnswer> => {
        const [op, params] = seeds[seed] ?? ['status', {}];
        const paths = pathsOf(params);
        const path = paths[where % Math.max(1, paths.length)] ?? [];
        const value = HOSTILE[what];
        const put = {
          put: () => value,
          drop: () => undefined,
          flip: (old: unknown) => flipped(old, bit),
          borrow: () => lent[bit % lent.length],
          add: (old: unknown) => old,
        };
        const made = changed(params, path, put[how]) as Record<string, unknown>;
        return siege.ask(attacker, op, how === 'add' ? { ...made, [`x${bit}`]: value } : made);
      }),
    );
    for (const { error } of answers) {
      assert.notEqual(error?.code, 'internal.unexpected');
      assert.ok(error === undefined || /^[a-z0-9-]+\.[a-z0-9-]+$/.test(error.code), error?.code);
    }
    // Cut off only for what cannot be answered; then the attacker comes again.
    if (answers.some(({ error }) => error?.message === 'cut off')) attacker = await siege.front();
  }
  attacker.end();
  assert.ok((siege.refusals.get('request.malformed') ?? 0) > 300);
  await stillServes();
});

test('TEST-KEY-13 an order to recount has no effect where nothing is to be recounted, whoever signed it', async () => {
  const before = siege.entries.length;
  const front = await siege.front();
  const { error } = await siege.ask(front, 'recount', { order: await recountOf(siege.trust.vkey), requestId: 'r' });
  assert.equal(error?.code, 'recount.not-needed');
  const unsigned = await siege.ask(front, 'recount', { order: '{"payload":"e30","signatures":[]}', requestId: 'r' });
  assert.equal(unsigned.error?.code, 'recount.malformed');
  front.end();
  assert.equal(siege.entries.length, before);
  await stillServes();
});

test('TEST-KEY-13 text that no JSON writer makes: doubled names, numbers without end, lone surrogates, a name of a prototype', async () => {
  const csr = toBase64(await csrFor('KS-0001'));
  for (const text of [
    `{"id":1,"op":"status","op":"issue","params":{}}`,
    `{"id":1,"op":"issue","params":{"profile":"ldevid","profile":"root-ca","csr":"${csr}","requestId":"r","requester":{"kind":"system","id":"serve"}}}`,
    `{"id":1,"op":"signCrl","params":{"issuer":"operational","number":1e999,"entries":[]}}`,
    `{"id":1,"op":"signCheckpoint","params":{"size":-0,"leaves":[],"__proto__":{"size":0}}}`,
    `{"id":1,"__proto__":{"op":"status"},"params":{}}`,
    `{"id":1,"op":"status","params":{},"constructor":{}}`,
    `{"id":1,"op":"\\ud800","params":{}}`,
    `{"id":1e400,"op":"status","params":{}}`,
    `{"id":9007199254740993,"op":"status","params":{}}`,
    `{"id":NaN,"op":"status","params":{}}`,
    `{"id":1,"op":"status","params":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`,
  ]) {
    const before = siege.entries.length;
    const one = await siege.front();
    one.text(text);
    one.text('{"id":2,"op":"status","params":{}}');
    // Answered with a rule, or cut off; in no case signed.
    await Promise.race([one.closed, siege.ask(one, 'status', {})]);
    one.end();
    assert.equal(siege.entries.length, before, text.slice(0, 80));
  }
  await stillServes();
});

test('TEST-KEY-13 after all of it keyd is alive and small, its journal whole, and not one signature is outside the policy', async () => {
  const { now, most } = siege.memory();
  assert.ok(now < 600 * 1024 && most < 900 * 1024, `${now} kB now, ${most} kB at most`);
  const kinds = new Map<string, number>();
  for (const { op } of siege.signed) kinds.set(op, (kinds.get(op) ?? 0) + 1);
  // There was something to judge, of every kind.
  for (const op of [
    'issue',
    'provision',
    'makeUnitKey',
    'deriveUnitKey',
    'signOcsp',
    'signCrl',
    'signCheckpoint',
    'signEvidence',
  ]) {
    assert.ok((kinds.get(op) ?? 0) > 0, op);
  }
  assert.deepEqual(judge(siege), []);
  const client = await siege.honest();
  const before = await client.status();
  client.close();
  await siege.restart();
  const after = await siege.honest();
  const { startedAt: _then, isolation: _apart, ...same } = before;
  const { startedAt: _now, isolation: _still, ...found } = await after.status();
  assert.deepEqual(found, same);
  // And a front end that was put right does its work as before.
  const { device, key } = shown(1);
  const unit = unitOf(device, await csrFor(device, key));
  const again = await after.provision({ ...unit, csr: fromBase64(String(unit.csr)) } as Parameters<
    typeof after.provision
  >[0]);
  assert.equal(again.record.includes(device), true);
  after.close();
});
