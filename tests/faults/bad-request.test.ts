import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { fromPem, toBase64, toPem } from '@keystead/core/bytes';
import { CHUNK_BYTES } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { PLAIN_STEPS, REASONED_STEPS } from 'keystead/protocols/rest/campaigns.ts';
import { Openssl } from './foreign.ts';
import { certificateOf, type Identity } from './https.ts';
import { newKey, Rig } from './rig.ts';
import { assertRefused, type Refusal, stateOf } from './unchanged.ts';

/** RFC 9500 section 2.3, testECCP256: SEC 1 DER of a private key that everybody has. */
const TEST_ECC_P256 =
  'MHcCAQEEIObLW92AqkWunJXowVR2Z5/+yVPBaFHnEedDk5WJxk/BoAoGCCqGSM49AwEHoUQDQgAEQiVI+I+3gv+17KN0RFLHKh5Vj71vc75eSOkyMsxFxbFsTNEMTLjVuKFxOelIgsiZJXKZNCX0FBmrfpCkKklCcg==';
const LDEVID_SECONDS = 15;
const ENROL = '/.well-known/est/simpleenroll';
const CSR_TYPE = 'application/pkcs10';

let rig: Rig;
const openssl = new Openssl();
let first: Identity;
let second: Identity;
/** The LDevID of the first device, which ends while the tests run. */
let short: Identity;
before(async () => {
  rig = await Rig.make({ ldevidSeconds: LDEVID_SECONDS });
  first = await rig.device('DEV-0001');
  second = await rig.device('DEV-0002');
  short = await rig.ldevid('DEV-0001', first);
});
after(async () => {
  openssl.remove();
  await rig.remove();
});

const enrol = (csr: Uint8Array, identity: Identity | undefined = first) => rig.est('simpleenroll', identity, csr);

test('a request whose proof of possession does not verify is refused', async () => {
  const csr = openssl.csr('DEV-0001');
  const last = csr.length - 1;
  csr[last] = (csr[last] ?? 0) ^ 1;
  await assertRefused(rig, () => enrol(csr), {
    status: 400,
    code: 'csr.signature-invalid',
    says: /proof of possession/,
    audited: true,
  });
});

const WEAK: readonly (readonly [what: string, key: () => string, refusal: Omit<Refusal, 'status' | 'audited'>])[] = [
  [
    'RSA-1024',
    () => openssl.key('RSA rsa_keygen_bits:1024'),
    { code: 'key.algorithm-forbidden', says: /subjectPublicKeyInfo.*algorithm and size/ },
  ],
  [
    'RSA-2048, which the profile does not allow',
    () => openssl.key('RSA rsa_keygen_bits:2048'),
    { code: 'key.algorithm-forbidden', says: /subjectPublicKeyInfo.*algorithm and size/ },
  ],
  [
    'a curve that nobody asked for',
    () => openssl.key('EC ec_paramgen_curve:secp256k1'),
    { code: 'key.algorithm-forbidden', says: /subjectPublicKeyInfo.*algorithm and size/ },
  ],
  [
    'the test key of RFC 9500',
    () =>
      createPrivateKey({ key: Buffer.from(TEST_ECC_P256, 'base64'), format: 'der', type: 'sec1' })
        .export({ format: 'pem', type: 'pkcs8' })
        .toString(),
    { code: 'key.known-compromised', says: /publicly known/ },
  ],
];
for (const [what, key, refusal] of WEAK) {
  test(`TEST-KEY-19 a weak or known key is refused: ${what}`, async () => {
    const csr = openssl.csr('DEV-0001', { key: key() });
    await assertRefused(rig, () => enrol(csr), { status: 400, audited: true, ...refusal });
  });
}

test('a request in the name of another device is refused', async () => {
  await assertRefused(rig, () => enrol(openssl.csr('DEV-0002')), {
    status: 403,
    code: 'csr.subject-mismatch',
    says: /subject.*authenticated requester/,
    audited: true,
  });
  const asked = { extensions: ['subjectAltName=URI:urn:keystead:device:DEV-0002'] };
  const answer = await enrol(openssl.csr('DEV-0001', asked));
  assert.ok(answer.status === 400 || answer.status === 403, answer.text);
});

test('an extension that the profile does not allow is refused', async () => {
  const csr = openssl.csr('DEV-0001', { extensions: ['basicConstraints=critical,CA:TRUE'] });
  await assertRefused(rig, () => enrol(csr), {
    status: 400,
    code: 'csr.extension-forbidden',
    says: /basicConstraints/,
    audited: true,
  });
});

test('a body that is too large, cut, not DER or not base64 is refused', async () => {
  const csr = openssl.csr('DEV-0001');
  const post = (body: string) => rig.https('POST', ENROL, { identity: first, body, type: CSR_TYPE });
  await assertRefused(rig, () => post('A'.repeat(70 * 1024)), {
    status: 413,
    code: 'request.too-large',
    says: /body: the body is larger/,
    audited: true,
  });
  const notDer = { status: 400, code: 'csr.not-der', says: /csr: .*DER by RFC 2986/, audited: true };
  await assertRefused(rig, () => enrol(csr.subarray(0, csr.length - 9)), notDer);
  await assertRefused(rig, () => enrol(Uint8Array.from([...csr, 0])), notDer);
  await assertRefused(rig, () => enrol(Buffer.from('this is not DER at all')), notDer);
  await assertRefused(rig, () => post(''), { ...notDer, says: /csr: / });
  await assertRefused(rig, () => post('%%% not base64 %%%'), {
    status: 400,
    code: 'request.malformed',
    says: /body: .*not base64/,
    audited: true,
  });
});

test('a body that ends before its length is no request', async () => {
  const before = stateOf(rig);
  const body = toBase64(openssl.csr('DEV-0001'));
  const socket = connect({ host: 'localhost', port: rig.world.config.ports.https, ca: rig.world.rootPem, ...first });
  const head = `POST ${ENROL} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${CSR_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n`;
  socket.end(head + body.slice(0, body.length / 2));
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await new Promise((resolve) => socket.once('close', resolve));
  const text = Buffer.concat(parts).toString('utf8');
  assert.ok(text === '' || /^HTTP\/1\.1 400 /.test(text), text);
  assert.deepEqual(stateOf(rig), before);
});

test('a wrong content type is refused, also one that other servers take', async () => {
  const body = toBase64(openssl.csr('DEV-0001'));
  for (const type of ['text/plain', 'application/json', 'application/octet-stream', 'application/pkcs7-mime']) {
    await assertRefused(rig, () => rig.https('POST', ENROL, { identity: first, body, type }), {
      status: 415,
      code: 'request.content-type',
      says: /Content-Type: the content type/,
      audited: true,
    });
  }
  const asked = { identity: rig.person('pki'), body: '{}', type: 'text/plain' };
  await assertRefused(rig, () => rig.https('POST', '/api/v1/revocations', asked), {
    status: 415,
    code: 'request.content-type',
    says: /Content-Type: the content type/,
    audited: true,
  });
});

test('no client certificate, or a foreign one, is refused', async () => {
  const csr = openssl.csr('DEV-0001');
  await assertRefused(rig, () => rig.est('simpleenroll', undefined, csr), {
    status: 401,
    code: 'client.certificate-missing',
    says: /client certificate: .*TLS handshake/,
    audited: true,
  });
  const foreign = openssl.client('DEV-0001', '/O=Keystead/CN=Keystead manufacturing CA');
  await assertRefused(rig, () => enrol(csr, foreign), {
    status: 401,
    code: 'client.certificate-foreign',
    says: /client certificate: .*issued by a CA of this system/,
    audited: true,
  });
});

test('TEST-KEY-19 the second device that offers a key is refused, and the log names both', async () => {
  const key = openssl.key();
  const enrolled = await enrol(openssl.csr('DEV-0001', { key }));
  assert.equal(enrolled.status, 200, enrolled.text);
  const answer = await assertRefused(rig, () => enrol(openssl.csr('DEV-0002', { key }), second), {
    status: 409,
    code: 'key.already-used',
    says: /one device and one certificate for all time/,
    audited: true,
  });
  const [entry] = rig.audited(answer);
  assert.equal(entry?.actor.id, 'DEV-0002');
  assert.equal(entry?.detail?.owner, 'device:DEV-0001');
});

test('TEST-KEY-19 a second enrolment with the key of the IDevID is refused', async () => {
  await assertRefused(rig, () => enrol(openssl.csr('DEV-0001', { key: first.key })), {
    status: 409,
    code: 'key.already-used',
    says: /one device and one certificate/,
    audited: true,
  });
});

test('TEST-KEY-14 a renewal with the key of another device, or in its name, is refused, and the own one goes on', async () => {
  const theirs = await rig.ldevid('DEV-0002', second);
  const own = await rig.ldevid('DEV-0001', first);
  const renew = (csr: Uint8Array) => rig.est('simplereenroll', own, csr);
  const answer = await assertRefused(rig, () => renew(openssl.csr('DEV-0001', { key: theirs.key })), {
    status: 409,
    code: 'key.already-used',
    says: /one device and one certificate for all time/,
    audited: true,
  });
  const [entry] = rig.audited(answer);
  assert.deepEqual([entry?.actor.id, entry?.detail?.owner], ['DEV-0001', 'device:DEV-0002']);
  await assertRefused(rig, () => renew(openssl.csr('DEV-0002')), {
    status: 403,
    code: 'csr.subject-mismatch',
    says: /subject.*authenticated requester/,
    audited: true,
  });
  assert.equal((await renew(openssl.csr('DEV-0001'))).status, 200);
});

const hash = 'ab'.repeat(32);
const backup = {
  backupId: '00'.repeat(16),
  checkpoint: null,
  payload: { bytes: 1, chunkBytes: CHUNK_BYTES, chunksSha256: hash, recipient: 'age1' },
  members: [{ path: 'keystead.db', bytes: 1, sha256: hash }],
  shares: [],
};

/** Each route with a body that is well-formed, so that what refuses it is the caller. */
function routes(): readonly (readonly [method: string, path: string, body?: unknown])[] {
  const csr = toPem('CERTIFICATE REQUEST', openssl.csr('localhost'));
  return [
    ['GET', '/devices'],
    ['GET', '/devices/DEV-0001'],
    ['GET', '/certificates/0123'],
    ['GET', '/records/DEV-0001'],
    ['POST', '/server-certificates', { csr, hosts: ['localhost'] }],
    ['POST', '/batches', { ticket: '{}' }],
    ['POST', '/units', { ticketId: 'batch-devices', deviceId: 'DEV-0050', csr, line: 'line-1' }],
    [
      'POST',
      '/attestations',
      {
        ticketId: 'batch-devices',
        deviceId: 'DEV-0050',
        line: 'line-1',
        ekPublic: 'AAAA',
        akPublic: 'AAAA',
        keyPublic: 'AAAA',
        attest: 'AAAA',
        signature: 'AAAA',
      },
    ],
    ['POST', '/chips', { ticketId: 'batch-devices', deviceId: 'DEV-0050', line: 'line-1', chain: 'AAAA' }],
    [
      'POST',
      '/unit-keys',
      { deviceId: 'DEV-0001', purpose: 'telemetry', certificate: 'AAAA', recipient: 'AAAA', proof: 'AAAA' },
    ],
    ['GET', '/records?ticket=batch-devices'],
    ['GET', '/records/DEV-0001/birth-certificate'],
    ['GET', '/batches/batch-devices'],
    ['POST', '/station-certificates', { station: 'st-1.plant.example', csr, order: '{}' }],
    ['GET', '/stations'],
    ['POST', '/stations/st-1.plant.example/sign-off', {}],
    ['GET', '/factories'],
    ['GET', '/factories/berlin-1'],
    ['GET', '/factories/berlin-1/commission'],
    ['POST', '/factories', { request: 'AAAA', statements: ['{}'] }],
    ['GET', '/reconciliation'],
    ['POST', '/reconciliation/resolutions', { resolution: '{}' }],
    ['GET', '/factory/outbox'],
    ['POST', '/factory/receipts', { receipts: ['{}'] }],
    ['POST', '/ca-revocations', { statements: ['{}'] }],
    ['GET', '/acme/accounts'],
    ['GET', '/acme/orders'],
    ['POST', '/acme/accounts/a1/revocation', {}],
    ['POST', '/revocations', { deviceId: 'DEV-0002', reason: 'keyCompromise' }],
    ['POST', '/revocations', { serial: '0123', reason: 'keyCompromise' }],
    ['GET', '/revocation-requests'],
    ['GET', '/revocation-requests/a1'],
    ['POST', '/revocation-requests', { statement: '{}' }],
    ['POST', '/revocation-requests/a1/approvals', { statement: '{}' }],
    ['POST', '/revocation-requests/a1/withdrawal', {}],
    // Of a file not even the type is looked at before it is known who sends it.
    ['PUT', `/signing/files/${'0'.repeat(64)}`, {}],
    ['GET', `/signing/files/${'0'.repeat(64)}`],
    ['GET', `/signing/files/${'0'.repeat(64)}/content`],
    ['GET', '/signing/requests'],
    [
      'POST',
      '/signing/requests',
      {
        ...{ id: 'a1', product: 'p', environment: 'production', target: 't', version: '1.0', format: 'mcuboot' },
        ...{ image: { sha256: '0'.repeat(64) }, reason: 'a test' },
      },
    ],
    ['GET', '/signing/requests/a1'],
    ['POST', '/signing/requests/a1/statements', { statement: '{}' }],
    ['POST', '/signing/requests/a1/withdrawal', {}],
    ['GET', '/signing/requests/a1/result'],
    ['GET', '/signing/requests/a1/timestamps'],
    ['GET', '/signing/keys'],
    ['GET', '/signing/worklist?key=pump-1'],
    ['POST', '/signing/key-orders', { statements: ['{}'] }],
    ['GET', '/tuf'],
    ['POST', '/tuf/pump/status', { roots: [], targets: 'AAAA' }],
    ['GET', '/trust'],
    ['POST', '/trust/bundles', { statements: ['{}'] }],
    ['GET', '/tls-key'],
    ['POST', '/tls-key/prepared', { use: 'next' }],
    ['POST', '/tls-key/use', { key: hash }],
    ['GET', '/campaigns'],
    ['POST', '/campaigns', { plan: {} }],
    ['GET', '/campaigns/c1'],
    ['GET', '/campaigns/c1/dry-run'],
    ...PLAIN_STEPS.map((step) => ['POST', `/campaigns/c1/${step}`, {}] as const),
    ...REASONED_STEPS.map((step) => ['POST', `/campaigns/c1/${step}`, { reason: 'a test' }] as const),
    ['POST', '/campaigns/c1/insistence', { statements: ['{}'] }],
    ['POST', '/campaigns/c1/failures', { device: 'DEV-0001', reason: 'a test' }],
    ['POST', '/authorisations', { document: '{}', secret: 'x' }],
    ['GET', '/authorisations'],
    ['POST', '/authorisations/a1/withdrawal', {}],
    ['GET', '/enrolment-requests'],
    ['GET', '/enrolment-requests/a1'],
    ['POST', '/enrolment-requests/a1/approval', { document: '{}' }],
    ['POST', '/enrolment-requests/a1/refusal', { reason: 'no' }],
    ['POST', '/devices/DEV-0002/decommission', { wiped: [] }],
    ['POST', '/devices/DEV-0002/readmission', { reason: 'a test' }],
    ['GET', '/keys'],
    ['GET', '/keys/due'],
    ['GET', '/keys/log'],
    ['POST', '/key-orders', { order: '{}' }],
    ['GET', '/count'],
    ['POST', '/recounts', { order: '{}' }],
    ['GET', '/policy'],
    ['POST', '/policy', { policy: '{}', approvals: '{}' }],
    ['POST', '/backups', backup],
    [
      'POST',
      `/backups/${backup.backupId}/drills`,
      { manifestSha256: hash, custodians: ['custodian'], outcome: 'done', members: 1, logEntries: 1 },
    ],
  ];
}

test('every REST route refuses a caller without a certificate', async () => {
  const own = [
    ['GET', '/whoami'],
    ['POST', '/self/revocations', { reason: 'superseded' }],
    ['GET', '/device/renewal-info'],
    ['POST', '/device/uptake', { bundle: null, filter: null, firmware: null }],
  ] as const;
  for (const [method, path, body] of [...routes(), ...own]) {
    await assertRefused(rig, () => rig.rest(method, path, undefined, body), {
      status: 401,
      code: 'client.certificate-missing',
      says: /client certificate/,
      audited: true,
    });
  }
});

test('every REST route refuses a device', async () => {
  for (const [method, path, body] of routes()) {
    await assertRefused(rig, () => rig.rest(method, path, first, body), {
      status: 403,
      code: 'access.forbidden',
      says: /the caller must hold a role/,
      audited: true,
    });
  }
});

test('the list of routes that the server gives out is the one that is tested here', async () => {
  const listed: string[][] = JSON.parse((await rig.rest('GET', '/', undefined)).text).routes;
  const named = listed.map(([method, path = '']) => `${method} ${path.split(' ')[0]}`);
  const tested = routes().map(([method, path]) => {
    const general = path
      .replace(/\?.*/, '')
      .replace(
        /(?<=\/(devices|certificates|records|batches|stations|factories|keys|backups|authorisations|enrolment-requests|revocation-requests|accounts|files|requests|campaigns|tuf)\/)(?!due$)[^/]+/,
        '*',
      );
    return `${method} /api/v1${general}`;
  });
  const open = [
    'GET /api/v1/whoami',
    'POST /api/v1/operator-certificates',
    'POST /api/v1/self/revocations',
    // A device's own.
    'GET /api/v1/device/renewal-info',
    'POST /api/v1/device/uptake',
    // By the signature of a factory's keyd, whoever brings it.
    'POST /api/v1/factories/*/consignments',
    'POST /api/v1/factories/*/news',
    // Stations have answers of their own, and a test of their own (tests/system/station.test.ts).
    ...named.filter((route) => route.includes(' /api/v1/station/')).map((route) => route.replace(/:\w+/, '*')),
  ];
  assert.deepEqual(
    [...new Set([...tested, ...open])].toSorted(),
    named.map((route) => route.replace(/:\w+/, '*')).toSorted(),
  );
});

test('an operator without the role is refused, and the log names the person and the permission', async () => {
  const cases: readonly (readonly [person: string, method: string, path: string, body: unknown])[] = [
    ['auditor', 'POST', '/revocations', { deviceId: 'DEV-0002', reason: 'keyCompromise' }],
    ['line-1', 'POST', '/devices/DEV-0002/decommission', { wiped: [] }],
    ['line-1', 'POST', '/devices/DEV-0002/readmission', { reason: 'a test' }],
    ['release', 'POST', '/units', routes()[6]?.[2]],
    ['auditor', 'POST', '/batches', { ticket: '{}' }],
    ['custodian', 'POST', '/server-certificates', routes()[4]?.[2]],
  ];
  for (const [person, method, path, body] of cases) {
    const answer = await assertRefused(rig, () => rig.rest(method, path, rig.person(person), body), {
      status: 403,
      code: 'access.forbidden',
      says: /the caller must hold a role/,
      audited: true,
    });
    const [entry] = rig.audited(answer);
    assert.equal(entry?.actor.id, person);
    assert.match(String(entry?.detail?.permission), /^\w+\.\w+$/);
  }
});

test('nobody becomes an operator with a key that the policy does not name', async () => {
  for (const [name, code] of [
    ['pki', 'operator.key-differs'],
    ['stranger', 'operator.unknown'],
  ] as const) {
    const body = { name, csr: toPem('CERTIFICATE REQUEST', openssl.csr(name)) };
    const answer = await assertRefused(rig, () => rig.rest('POST', '/operator-certificates', undefined, body), {
      status: 403,
      code,
      says: /./,
      audited: true,
    });
    assert.ok(answer.text.includes(name));
  }
});

test('an expired client certificate is refused by name, and the IDevID recovers the device', async () => {
  const [der] = fromPem('CERTIFICATE', short.cert);
  const { notAfter } = readCertificate(der ?? new Uint8Array());
  await pause(Math.max(0, notAfter.getTime() + 1000 - Date.now()));
  const csr = openssl.csr('DEV-0001');
  await assertRefused(rig, () => rig.est('simplereenroll', short, csr), {
    status: 401,
    code: 'client.certificate-expired',
    says: /client certificate: .*within its validity/,
    audited: true,
  });
  assert.equal((await enrol(csr)).status, 200);
});

test('TEST-KEY-07 a revoked client certificate is refused, and so is everything else of its device', async () => {
  const victim = await rig.device('DEV-0003');
  const ldevid = await rig.ldevid('DEV-0003', victim);
  const stolen = { deviceId: 'DEV-0003', reason: 'keyCompromise' };
  assert.equal((await rig.rest('POST', '/revocations', rig.person('pki'), stolen)).status, 200);
  for (const [operation, identity] of [
    ['simplereenroll', ldevid],
    ['simpleenroll', victim],
  ] as const) {
    const { csr } = await newKey('DEV-0003');
    await assertRefused(rig, () => rig.est(operation, identity, csr), {
      status: 401,
      code: 'client.certificate-revoked',
      says: /client certificate: .*must not be revoked.*keyCompromise/,
      audited: true,
    });
  }
});

test('refused requests left a system that serves, and a log in which each of them stands', async () => {
  const { csr } = await newKey('DEV-0002');
  const answer = await enrol(csr, second);
  assert.equal(answer.status, 200, answer.text);
  assert.ok(certificateOf(answer).length > 0);
  const log = readFileSync(join(rig.layout.logs, 'serve.log'), 'utf8');
  assert.ok(
    !log.includes('unexpected failure'),
    log.split('\n').find((line) => line.includes('unexpected failure')),
  );
});
