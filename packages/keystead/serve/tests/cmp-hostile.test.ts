import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { type DerCertificate, type DerCsr, fromPem } from '@keystead/core/bytes';
import {
  type CmpFailure,
  CONTROLS,
  certConfBody,
  crlStatusListValue,
  defaultPasswordMac,
  directoryName,
  generalBody,
  INFO_TYPES,
  p10crBody,
  pollReqBody,
  readCaCerts,
  requestBody,
} from '@keystead/core/cmp';
import { randomBytes } from '@keystead/core/crypto';
import {
  context,
  contextPrimitive,
  integer,
  nameDer,
  nullValue,
  octetString,
  oid,
  readCertificate,
  sequence,
  time,
  utf8String,
} from '@keystead/core/x509';
import { csrFor, makeKey } from '../../keyd/tests/bed.ts';
import { CmpBed, type FileDevice, run } from './cmp-bed.ts';
import { type By, crmf, type Heard, oldCertId, type Said, Speaker } from './cmp-speaker.ts';

let bed: CmpBed;
let speaker: Speaker;
let device: FileDevice;
let idevid: By;
let number = 0;
before(async () => {
  bed = await CmpBed.make();
  speaker = new Speaker(bed);
});
after(async () => {
  await bed?.end();
});
beforeEach(async () => {
  number += 1;
  device = await bed.device(`KS-${String(number).padStart(4, '0')}`);
  idevid = { certificate: device.idevid, signer: device.key.signer };
});

const hash = (certificate: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(certificate).digest());

/** A refusal with this failure and code, which changed nothing but the audit log. */
async function refuses(said: Said | Uint8Array, failure: CmpFailure, code: RegExp): Promise<Heard> {
  const before = bed.domain.counts().certificates;
  const entries = bed.domain.counts().entries;
  const heard = said instanceof Uint8Array ? await speaker.send(said) : await speaker.say(said);
  assert.equal(heard.refused?.failure, failure, heard.refused?.text);
  assert.match(heard.refused?.text ?? '', code);
  // The signer of the answers is itself made when the first one needs it.
  assert.ok(bed.domain.counts().certificates - before <= (number === 1 ? 1 : 0), 'a certificate was made');
  await bed.domain.refusals.flush();
  assert.ok(bed.domain.counts().entries > entries, 'no audit entry');
  return heard;
}

const ir = async (more: Partial<Parameters<typeof crmf>[0]> = {}): Promise<Uint8Array> =>
  requestBody('ir', await crmf({ name: device.id, key: makeKey(), ...more }));

async function issued(said: Said): Promise<{ heard: Heard; certificate: DerCertificate }> {
  const heard = await speaker.say(said);
  assert.ok('certificate' in heard.body && heard.body.certificate !== undefined, heard.refused?.text);
  return { heard, certificate: heard.body.certificate };
}

const statusOf = (certificate: DerCertificate) =>
  bed.domain.store.read((records) => records.certificatesBySerial(readCertificate(certificate).serial)[0]);

test('bytes that are no message get an error that says so, with status 400', async () => {
  const good = await speaker.message({ by: idevid, body: await ir() });
  for (const bytes of [
    new Uint8Array(0),
    Uint8Array.of(0x30, 0x00),
    randomBytes(200),
    good.subarray(0, -1),
    new Uint8Array(70_000),
  ]) {
    const heard = await refuses(bytes, 'badDataFormat', /^cmp\.malformed/);
    assert.equal(heard.status, 400);
  }
});

test('another version, a body that is not served, and several requests at once', async () => {
  // pvno is the first element of the header.
  const atVersion = (der: Uint8Array): number => Buffer.from(der).indexOf(Buffer.from([0x02, 0x01, 0x02]));
  const old = (der: Uint8Array): Uint8Array => {
    const changed = Uint8Array.from(der);
    changed[atVersion(der) + 2] = 1;
    return changed;
  };
  await refuses({ by: idevid, body: await ir(), change: old }, 'unsupportedVersion', /^cmp\.version-unsupported/);
  await refuses({ by: idevid, body: context(13, sequence()) }, 'badRequest', /^cmp\.body-unsupported/);
  const two = [await crmf({ name: device.id, key: makeKey() }), await crmf({ name: device.id, key: makeKey() })];
  await refuses({ by: idevid, body: context(0, sequence(...two)) }, 'badRequest', /^cmp\.one-request/);
  await refuses({ by: idevid, body: await ir(), operation: 'getcacerts' }, 'badRequest', /^cmp\.body-unsupported/);
});

test('a message without protection, with a broken one, or by an algorithm that is not taken', async () => {
  await refuses({ body: await ir() }, 'badMessageCheck', /^cmp\.protection-missing/);
  const flip = (der: Uint8Array): Uint8Array => {
    // The last octet of the nonce: the header is protected as well.
    const changed = Uint8Array.from(der);
    const at = Buffer.from(changed).indexOf(Buffer.from([0xa5, 0x12, 0x04, 0x10])) + 4;
    changed[at] = (changed[at] ?? 0) ^ 1;
    return changed;
  };
  await refuses({ by: idevid, body: await ir(), change: flip }, 'badMessageCheck', /^cmp\.protection-invalid/);
  const foreign: By = { certificate: device.idevid, signer: makeKey().signer };
  await refuses({ by: foreign, body: await ir() }, 'badMessageCheck', /^cmp\.protection-invalid/);
  await refuses({ by: { ...idevid, extraCerts: [] }, body: await ir() }, 'badMessageCheck', /^cmp\.protection-invalid/);
  // ecdsa-with-SHA1
  const weak = sequence(oid('1.2.840.10045.4.1'));
  await refuses(
    { by: idevid, body: await ir(), header: { protectionAlg: weak } },
    'badAlg',
    /^cmp\.algorithm-unsupported/,
  );
});

test('a certificate that a stranger made is refused before its key, which could be a dear one, is worked with', async () => {
  const made = await run([
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    '/dev/null',
    '-subj',
    '/CN=KS-0001',
  ]);
  const [certificate] = fromPem('CERTIFICATE', made.text.slice(made.text.indexOf('-----BEGIN CERT')));
  assert.ok(certificate !== undefined, made.text);
  const stranger: By = { certificate: certificate as DerCertificate, signer: makeKey().signer };
  await refuses({ by: stranger, body: await ir() }, 'signerNotTrusted', /^client\.certificate-/);
});

test('a header without identifiers, with another sender than its signer, to another authority, or of another time', async () => {
  const body = await ir();
  await refuses(
    { by: idevid, body, header: { transactionId: undefined } },
    'badDataFormat',
    /^cmp\.header-incomplete: transactionID/,
  );
  await refuses(
    { by: idevid, body, header: { senderNonce: randomBytes(8) } },
    'badDataFormat',
    /^cmp\.header-incomplete: senderNonce/,
  );
  const somebody = directoryName(nameDer({ rdns: [{ type: 'CN', value: 'somebody else' }] }));
  await refuses({ by: idevid, body, header: { sender: somebody } }, 'badDataFormat', /^cmp\.header-incomplete: sender/);
  await refuses({ by: idevid, body, header: { recipient: somebody } }, 'wrongAuthority', /^cmp\.recipient-wrong/);
  const now = bed.domain.clock.now().getTime();
  for (const ms of [now - 700_000, now + 700_000]) {
    await refuses({ by: idevid, body, header: { messageTime: new Date(ms) } }, 'badTime', /^cmp\.time-refused/);
  }
});

test('a proof of possession that is missing, is the word of an RA, is by decryption, or is of another key', async () => {
  const archive = sequence(oid(CONTROLS.pkiArchiveOptions), context(0, octetString(Uint8Array.of(1))));
  const cases = [
    [{ popo: 'none' as const }, 'badPOP', /^cmp\.pop-refused: popo.*saw none/],
    [{ popo: contextPrimitive(0, new Uint8Array(0)) }, 'badPOP', /^cmp\.pop-refused: popo.*raVerified/],
    [{ popo: context(2, contextPrimitive(1, Uint8Array.of(0))) }, 'badPOP', /^cmp\.pop-refused: popo.*keyEncipherment/],
    [{ popo: context(3, contextPrimitive(1, Uint8Array.of(0))) }, 'badPOP', /^cmp\.pop-refused: popo.*keyAgreement/],
    [{ signer: makeKey().signer }, 'badPOP', /^csr\.signature-invalid/],
    [{ controls: [archive] }, 'badCertTemplate', /^cmp\.template-refused: controls.*pkiArchiveOptions/],
    [{ before: [contextPrimitive(1, Uint8Array.of(5))] }, 'badCertTemplate', /^cmp\.template-refused: serialNumber/],
    [
      { before: [context(3, nameDer({ rdns: [{ type: 'CN', value: 'Another CA' }] }))] },
      'badCertTemplate',
      /^cmp\.template-refused: issuer/,
    ],
    [{ name: 'KS-9999' }, 'badCertTemplate', /^csr\.subject-mismatch/],
    [{ key: { ...device.key } }, 'duplicateCertReq', /^key\.already-used/],
  ] as const;
  for (const [wish, failure, code] of cases) {
    const heard = await refuses({ by: idevid, body: await ir(wish) }, failure, code);
    assert.equal(heard.body.type, 'ip');
    assert.equal(heard.status, 200);
  }
});

test("a validity that is asked for is not given: times are the profile's", async () => {
  const asked = context(4, context(1, time(new Date('2049-01-01T00:00:00Z'))));
  const spki = makeKey();
  const body = requestBody('ir', await crmf({ name: device.id, key: spki, before: [], after: [] }));
  const { certificate } = await issued({ by: idevid, body });
  const wish = await crmf({ name: device.id, key: makeKey(), before: [asked] });
  const other = await issued({ by: idevid, body: requestBody('ir', wish) });
  assert.ok(
    Math.abs(readCertificate(other.certificate).notAfter.getTime() - readCertificate(certificate).notAfter.getTime()) <
      60_000,
  );
});

test('the same request again gets the same certificate; another under the same transactionID does not', async () => {
  const key = makeKey();
  const transactionId = randomBytes(16);
  const body = requestBody('ir', await crmf({ name: device.id, key }));
  const message = await speaker.message({ by: idevid, body, header: { transactionId } });
  const first = await speaker.send(message);
  const again = await speaker.send(message);
  // A client that began anew: the proof of possession and the transaction are others, the request is the same.
  const anew = await issued({ by: idevid, body: requestBody('ir', await crmf({ name: device.id, key })) });
  for (const heard of [first, again])
    assert.deepEqual('certificate' in heard.body && heard.body.certificate, anew.certificate);
  await refuses(
    { by: idevid, body: await ir(), header: { transactionId } },
    'transactionIdInUse',
    /^cmp\.transaction-used/,
  );
  const other = await bed.device(`KS-${String(50 + number).padStart(4, '0')}`);
  const foreign: By = { certificate: other.idevid, signer: other.key.signer };
  await refuses({ by: foreign, body, header: { transactionId } }, 'transactionIdInUse', /^cmp\.transaction-used/);
});

test('two requests under one transactionID side by side: one of them stands, and what the other made is given to nobody', async () => {
  const other = await bed.device(`KS-${String(50 + number).padStart(4, '0')}`);
  const foreign: By = { certificate: other.idevid, signer: other.key.signer };
  const theirs = async () => requestBody('ir', await crmf({ name: other.id, key: makeKey() }));
  for (const [by, body] of [
    [idevid, ir],
    [foreign, theirs],
  ] as const) {
    const header = { transactionId: randomBytes(16) };
    const both = await Promise.all([
      speaker.say({ by: idevid, body: await ir(), header }),
      speaker.say({ by, body: await body(), header }),
    ]);
    const got = both.flatMap(({ body }) => ('certificate' in body ? (body.certificate ?? []) : []));
    assert.deepEqual(
      [got.length, both.filter(({ refused }) => refused?.failure === 'transactionIdInUse').length],
      [1, 1],
    );
    bed.domain.clock.set(new Date(bed.domain.clock.now().getTime() + 301_000));
    await bed.domain.authority.tick();
    assert.deepEqual(
      got.map((one) => statusOf(one)?.status),
      ['revoked'],
      'nobody confirmed it',
    );
  }
});

test('a confirmation names its certificate, its transaction and the nonce that it answers; a refusal revokes', async () => {
  const transactionId = randomBytes(16);
  const { heard, certificate } = await issued({ by: idevid, body: await ir(), header: { transactionId } });
  const recipNonce = heard.header.senderNonce;
  const confirm = (more: Partial<Said>, certHash = hash(certificate)): Said => ({
    by: idevid,
    body: certConfBody({ certReqId: 0, certHash }),
    ...more,
    header: { transactionId, recipNonce, ...more.header },
  });
  await refuses(confirm({}, hash(randomBytes(8))), 'badCertId', /^cmp\.confirmation-refused/);
  await refuses(confirm({ header: { recipNonce: randomBytes(16) } }), 'badRecipientNonce', /^cmp\.nonce-refused/);
  await refuses(confirm({ header: { transactionId: randomBytes(16) } }), 'badRequest', /^cmp\.transaction-unknown/);
  const other = await bed.device(`KS-${String(50 + number).padStart(4, '0')}`);
  await refuses(
    confirm({ by: { certificate: other.idevid, signer: other.key.signer } }),
    'badRequest',
    /^cmp\.transaction-unknown/,
  );
  assert.equal(statusOf(certificate)?.status, 'good');
  for (const again of [1, 2]) {
    const done = await speaker.say(confirm({}));
    assert.equal(done.body.type, 'pkiconf', `${again}: ${done.refused?.text}`);
  }
  // Once it is confirmed, it is not taken back by a message.
  const rejection = certConfBody({ certReqId: 0, certHash: hash(certificate), status: { status: 'rejection' } });
  await refuses(confirm({ body: rejection }), 'badCertId', /^cmp\.confirmation-refused/);

  const second = randomBytes(16);
  const unwanted = await issued({ by: idevid, body: await ir(), header: { transactionId: second } });
  const no = certConfBody({ certReqId: 0, certHash: hash(unwanted.certificate), status: { status: 'rejection' } });
  const header = { transactionId: second, recipNonce: unwanted.heard.header.senderNonce };
  assert.equal((await speaker.say({ by: idevid, body: no, header })).body.type, 'pkiconf');
  assert.deepEqual(
    [statusOf(unwanted.certificate)?.status, statusOf(unwanted.certificate)?.reason],
    ['revoked', 'cessationOfOperation'],
  );
  const late = certConfBody({ certReqId: 0, certHash: hash(unwanted.certificate) });
  await refuses({ by: idevid, body: late, header }, 'certRevoked', /^cmp\.confirmation-late/);
});

test('what is not confirmed in time is revoked, also after a restart; an old request played again harms nobody', async () => {
  const request = { by: idevid, body: await ir(), header: { transactionId: randomBytes(16) } };
  const { certificate, heard } = await issued(request);
  assert.ok(heard.header.generalInfo.some(({ type }) => type === INFO_TYPES.confirmWaitTime));
  const kept = await issued({
    by: idevid,
    body: await ir(),
    header: { transactionId: randomBytes(16), generalInfo: [{ type: INFO_TYPES.implicitConfirm, value: nullValue() }] },
  });
  const confirmed = {
    by: idevid,
    body: await ir(),
    header: { transactionId: randomBytes(16), messageTime: undefined },
  };
  const held = await issued(confirmed);
  const conf = certConfBody({ certReqId: 0, certHash: hash(held.certificate) });
  await speaker.say({
    by: idevid,
    body: conf,
    header: { transactionId: confirmed.header.transactionId, recipNonce: held.heard.header.senderNonce },
  });

  await bed.restart();
  bed.domain.clock.set(new Date(bed.domain.clock.now().getTime() + 301_000));
  // Without a time it is good for ever; it begins another transaction for a certificate that was confirmed long ago.
  await issued({ ...confirmed, header: { transactionId: randomBytes(16), messageTime: undefined } });
  await bed.domain.authority.tick();
  assert.deepEqual([statusOf(certificate)?.status, statusOf(certificate)?.reason], ['revoked', 'cessationOfOperation']);
  assert.deepEqual(
    [kept, held].map((one) => statusOf(one.certificate)?.status),
    ['good', 'good'],
  );
  bed.domain.clock.set(new Date(bed.domain.clock.now().getTime() + 301_000));
  await bed.domain.authority.tick();
  assert.equal(statusOf(held.certificate)?.status, 'good');
  bed.domain.clock.set(new Date(bed.domain.clock.now().getTime() + 7200_000));
  await bed.domain.authority.tick();
  const rows = bed.domain.store.read((records) => records.transaction(confirmed.header.transactionId));
  assert.equal(rows, undefined, 'what ended long ago is forgotten');
});

test('a key update is signed with the certificate that it names, and an IDevID is not updated', async () => {
  const key = makeKey();
  const { certificate } = await issued({ by: idevid, body: await ir({ key }) });
  const ldevid: By = { certificate, signer: key.signer };
  const kur = async (old: DerCertificate | undefined): Promise<Uint8Array> =>
    requestBody(
      'kur',
      await crmf({ name: device.id, key: makeKey(), controls: old === undefined ? [] : [oldCertId(old)] }),
    );
  await refuses({ by: ldevid, body: await kur(device.idevid) }, 'badCertId', /^cmp\.old-certificate/);
  await refuses({ by: ldevid, body: await kur(undefined) }, 'badCertId', /^cmp\.old-certificate/);
  await refuses({ by: idevid, body: await kur(device.idevid) }, 'notAuthorized', /^enrol\.certificate-unfit/);
  await refuses({ by: ldevid, body: await ir() }, 'notAuthorized', /^enrol\.certificate-unfit/);
  await issued({ by: ldevid, body: await kur(certificate) });
});

test('a profile in the address or the header is the one that the requester may have', async () => {
  const certProfile = { type: INFO_TYPES.certProfile, value: sequence(utf8String('ldevid')) };
  await issued({ by: idevid, body: await ir(), profile: 'ldevid' });
  await issued({ by: idevid, body: await ir(), header: { generalInfo: [certProfile] } });
  await refuses({ by: idevid, body: await ir(), profile: 'tls-server' }, 'badRequest', /^cmp\.profile-differs/);
  await refuses({ by: idevid, body: await ir(), profile: 'idevid' }, 'badRequest', /^cmp\.profile-differs/);
});

test('PBMAC1 protects request and answer; parameters that would cost us much, or are weak, are refused', async () => {
  const secret = await bed.authorise(`mac-${number}`, {});
  const by = { reference: `mac-${number}`, secret };
  const { heard } = await issued({ by, body: await ir() });
  assert.equal(heard.protection, 'mac');
  assert.equal('caPubs' in heard.body && heard.body.caPubs.length, 1);
  const dear = { ...defaultPasswordMac(), iterations: 10_000_000 };
  const base = { by, body: await ir() };
  await refuses(
    { ...base, by: { ...by, mac: { ...dear, iterations: 10_001 } } },
    'badAlg',
    /^cmp\.algorithm-unsupported: iterationCount/,
  );
  const slow = {
    kind: 'password-based-mac',
    salt: randomBytes(16),
    hash: 'sha256',
    iterations: 4097,
    hmac: 'sha256',
  } as const;
  await refuses({ ...base, by: { ...by, mac: slow } }, 'badAlg', /^cmp\.algorithm-unsupported: iterationCount/);
  await refuses(
    { ...base, by: { ...by, mac: { ...slow, iterations: 500, hash: 'sha1' } } },
    'badAlg',
    /^cmp\.algorithm-unsupported: owf/,
  );
  await refuses(
    { ...base, by: { ...by, mac: { ...slow, iterations: 500, salt: randomBytes(4) } } },
    'badAlg',
    /^cmp\.algorithm-unsupported: salt/,
  );
  const wrong = await refuses(
    { ...base, by: { ...by, secret: `${secret.slice(1)}x` } },
    'badMessageCheck',
    /^cmp\.protection-invalid/,
  );
  assert.equal(wrong.protection, 'signature', 'who does not know the secret gets no MAC of it');
  // A withdrawn authorisation opens nothing any more, and not its confirmation either.
  await bed.domain.authority.authorisations.withdraw(`mac-${number}`, {
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'x',
  });
  await refuses(base, 'notAuthorized', /^authorisation\.withdrawn/);
});

test('who does not know the secret learns neither whether its authorisation exists nor how it stands', async () => {
  const secret = await bed.authorise(`quiet-${number}`, {});
  const way = await bed.authorise(`est-only-${number}`, { ways: ['est'] });
  const by = { actor: { kind: 'operator', id: 'ada' }, requestId: 'x' } as const;
  await bed.domain.authority.authorisations.withdraw(`quiet-${number}`, by);
  const wrong = `${secret.slice(1)}A`;
  for (const reference of [`quiet-${number}`, `est-only-${number}`, 'never-made']) {
    const heard = await refuses(
      { by: { reference, secret: wrong }, body: await ir() },
      'badMessageCheck',
      /^cmp\.protection-invalid/,
    );
    assert.equal(heard.protection, 'signature');
  }
  const holder = { by: { reference: `est-only-${number}`, secret: way }, body: await ir() };
  await refuses(holder, 'notAuthorized', /^authorisation\.way-forbidden/);
});

test('messages that cost work and prove nothing fill no more than their part of the line', async () => {
  const reference = `line-${number}`;
  const secret = await bed.authorise(reference, {});
  const other = { reference: `other-${number}`, secret: await bed.authorise(`other-${number}`, {}) };
  const dear = { ...defaultPasswordMac(), iterations: 10_000 };
  const wrong = { reference, secret: `${secret.slice(1)}A`, mac: dear };
  const flood = await speaker.message({ by: wrong, body: await ir() });
  const asked = Array.from({ length: 60 }, () => speaker.send(flood));
  const through = speaker.say({ by: other, body: await ir() });
  const failures = (await Promise.all(asked)).map(({ refused }) => refused?.failure);
  assert.ok(failures.includes('systemUnavail'), 'the line is full');
  assert.ok(failures.every((failure) => failure === 'systemUnavail' || failure === 'badMessageCheck'));
  assert.equal((await through).refused, undefined);
  await issued({ by: { reference, secret }, body: await ir() });
});

test('a request under an authorisation that waits, and one that an operator refuses', async () => {
  const id = `wait-${number}`;
  const by = { reference: id, secret: await bed.authorise(id, { approval: true }) };
  const transactionId = randomBytes(16);
  const waiting = await speaker.say({ by, body: await ir(), header: { transactionId } });
  assert.equal(
    'status' in waiting.body && typeof waiting.body.status === 'object' && waiting.body.status.status,
    'waiting',
  );
  const poll = (recipNonce = waiting.header.senderNonce): Said => ({
    by,
    body: pollReqBody(0),
    header: { transactionId, recipNonce },
  });
  assert.equal((await speaker.say(poll())).body.type, 'pollRep');
  // That answer was lost: the poll before comes again.
  const polled = await speaker.say(poll());
  assert.equal(polled.body.type, 'pollRep');
  await refuses(poll(randomBytes(16)), 'badRecipientNonce', /^cmp\.nonce-refused/);
  const request = bed.domain.store.read((records) => records.enrolmentRequests('waiting', 1))[0];
  assert.ok(request !== undefined);
  const ada = { actor: { kind: 'operator', id: 'ada' }, requestId: 'no' } as const;
  await bed.domain.authority.authorised.refuse(request.id, 'not this one', ada);
  await refuses(poll(polled.header.senderNonce), 'notAuthorized', /^authorisation\.refused.*not this one/);
});

test("general messages: CA certificates, CRLs that are newer than the client's, and no update of the root", async () => {
  const ask = async (type: string, value?: Uint8Array) => {
    const heard = await speaker.say({ by: idevid, body: generalBody('genm', [{ type, value }]) });
    assert.equal(heard.body.type, 'genp', heard.refused?.text);
    return heard.body.type === 'genp' ? heard.body.infos[0] : undefined;
  };
  const { certificates } = await bed.domain.keyd.client.trust();
  const cas = readCaCerts((await ask(INFO_TYPES.caCerts))?.value);
  assert.deepEqual(cas, [certificates.operational, certificates.server]);
  const root = certificates.root ?? new Uint8Array(0);
  assert.deepEqual(await ask(INFO_TYPES.rootCaCert, root), { type: INFO_TYPES.rootCaKeyUpdate, value: undefined });
  const issuer = readCertificate(certificates.operational as DerCertificate).subjectDer;
  const crls = await ask(INFO_TYPES.crlStatusList, crlStatusListValue(issuer));
  assert.equal(crls?.type, INFO_TYPES.crls);
  const crl = bed.domain.authority.crlOctets('operational')?.der ?? new Uint8Array(0);
  assert.deepEqual(crls?.value, sequence(crl));
  const future = time(new Date(bed.domain.clock.now().getTime() + 60_000));
  assert.equal((await ask(INFO_TYPES.crlStatusList, crlStatusListValue(issuer, future)))?.value, undefined);
  // What is asked once fits into an answer; a hundred copies of a long list would fill the memory.
  const list = { type: INFO_TYPES.crlStatusList, value: crlStatusListValue(issuer) };
  await refuses({ by: idevid, body: generalBody('genm', [list, list]) }, 'badRequest', /^cmp\.one-request: genm/);
  const [status] = [Uint8Array.from(list.value).subarray(2)];
  const many = await ask(INFO_TYPES.crlStatusList, sequence(...Array<Uint8Array>(8).fill(status ?? list.value)));
  assert.deepEqual(many?.value, sequence(crl), 'each list once');
  await refuses(
    { by: idevid, body: generalBody('genm', [{ type: '1.2.3.4' }]) },
    'badRequest',
    /^cmp\.body-unsupported: genm/,
  );
});

test('a PKCS#10 request that is broken, and one of another device', async () => {
  const csr = (await csrFor(device.id)) as DerCsr;
  const broken = Uint8Array.from(csr);
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  await refuses({ by: idevid, body: p10crBody(broken as DerCsr) }, 'badPOP', /^csr\.signature-invalid/);
  await refuses(
    { by: idevid, body: p10crBody((await csrFor('KS-9999')) as DerCsr) },
    'badCertTemplate',
    /^csr\.subject-mismatch/,
  );
  const { heard } = await issued({ by: idevid, body: p10crBody(csr) });
  assert.equal('certReqId' in heard.body && heard.body.certReqId, -1);
  assert.equal(integer(0).length, 3);
});

test('a policy of before CMP has no signer for its answers: CMP is off and says why', async () => {
  const { policy } = bed.domain;
  const at = policy.profiles.findIndex(({ id }) => id === 'cmp-ra');
  const [profile] = policy.profiles.splice(at, 1);
  assert.ok(profile !== undefined);
  const heard = await speaker.say({ by: idevid, body: await ir() });
  policy.profiles.splice(at, 0, profile);
  assert.equal(heard.status, 404);
  assert.equal(heard.protection, 'none');
  assert.match(heard.refused?.text ?? '', /^cmp\.off.*cmp-ra/);
});
