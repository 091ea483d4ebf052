import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromPem, toBase64url, toPem } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import {
  attestationTemplate,
  certify,
  create,
  encodePublic,
  flushing,
  type KeyPublic,
  load,
  type ObjectBlob,
  sign,
  signingTemplate,
  spkiOf,
  Tpm,
  withStorageRoot,
} from '@keystead/tpm2';
import { encode } from 'cborg';
import fc from 'fast-check';
import { run, Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { makeKey, type TestDevice, type TestKey } from '../../authority/tests/bed.ts';
import { csrFor } from '../../keyd/tests/bed.ts';
import { readAttestationObject } from '../attestation/attestation-object.ts';
import { IDEVID_FORMAT, idevidStatementBytes } from '../index.ts';
import { AcmeBed } from './bed.ts';
import { problem, RawClient, thumbprintOf } from './raw-client.ts';

const COSE_ES256 = -7;
let swtpm: Swtpm;
let tpm: Tpm;
let bed: AcmeBed;
let client: RawClient;
let device: TestDevice;
let other: TestDevice;
let ak: ObjectBlob<KeyPublic>;
/** Of the AK: for KS-0001, for nobody, by another CA, and for another purpose. */
let aik: Record<'good' | 'nobody' | 'foreign' | 'purpose', Uint8Array>;

before(async () => {
  swtpm = await Swtpm.start();
  tpm = await Tpm.open(swtpm.address);
  ak = await tpm.use((channel) => withStorageRoot(channel, (srk) => create(channel, srk, attestationTemplate())));
  const authority = ca('attestation CA');
  const permanent = 'otherName:1.3.6.1.5.5.7.8.3;SEQUENCE:pi';
  aik = {
    good: authority.certify('good', permanent, '2.23.133.8.3'),
    nobody: authority.certify('nobody', 'DNS:nobody.example', '2.23.133.8.3'),
    foreign: ca('another CA').certify('foreign', permanent, '2.23.133.8.3'),
    purpose: authority.certify('purpose', permanent, 'clientAuth'),
  };
  bed = await AcmeBed.make({ attestationRoots: [authority.certificate] });
  device = await bed.domain.device('KS-0001');
  other = await bed.domain.device('KS-0002');
  client = new RawClient(bed);
  await client.register(await bed.authorise({ deviceIds: { prefix: 'KS-', from: 1, to: 50, width: 4 } }));
});
after(async () => {
  await tpm.close();
  await swtpm.stop();
  await bed.remove();
});

/** A CA of attestation keys, by openssl. */
function ca(name: string) {
  const base = swtpm.path(name.replaceAll(' ', '-'));
  const [key, cert] = [`${base}.key`, `${base}.pem`];
  const ext = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
  run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-noenc',
    '-keyout',
    key,
    '-subj',
    `/CN=${name}`,
    '-days',
    '30',
    '-out',
    cert,
    ...ext,
  ]);
  const [certificate] = fromPem('CERTIFICATE', readFileSync(cert, 'utf8')) as DerCertificate[];
  assert.ok(certificate);
  return {
    certificate,
    certify(file: string, san: string, purpose: string): Uint8Array {
      const [pub, out, conf, csr] = ['pub', 'pem', 'conf', 'csr'].map((end) => `${base}-${file}.${end}`);
      writeFileSync(pub ?? '', toPem('PUBLIC KEY', spkiOf(ak.area)));
      writeFileSync(
        conf ?? '',
        `[ext]\nsubjectAltName=critical,${san}\nextendedKeyUsage=${purpose}\nkeyUsage=critical,digitalSignature\n[pi]\nv=UTF8:KS-0001\n`,
      );
      run('openssl', ['req', '-new', '-key', key, '-subj', '/', '-out', csr ?? '']);
      run('openssl', [
        'x509',
        '-req',
        '-in',
        csr ?? '',
        '-CA',
        cert,
        '-CAkey',
        key,
        '-force_pubkey',
        pub ?? '',
        '-extfile',
        conf ?? '',
        '-extensions',
        'ext',
        '-days',
        '20',
        '-out',
        out ?? '',
      ]);
      const [der] = fromPem('CERTIFICATE', readFileSync(out ?? '', 'utf8'));
      assert.ok(der);
      return der;
    },
  };
}

/** An order for a device, with the token of its one challenge. */
async function ordered(id = 'KS-0001') {
  const made = await client.order([{ type: 'permanent-identifier', value: id }]);
  const [authorization] = made.authorizations;
  assert.ok(authorization);
  assert.deepEqual(
    authorization.challenges.map((one) => one.type),
    ['device-attest-01'],
  );
  const token = authorization.challenges[0]?.token ?? '';
  return { url: made.url, authorization, keyAuthorization: `${token}.${thumbprintOf(client.key)}` };
}

/** A new key in the TPM, certified there by the AK over `nonce`. */
function tpmKey(nonce: Uint8Array, template = signingTemplate('P-256')) {
  return tpm.use((channel) =>
    withStorageRoot(channel, async (srk) => {
      const blob = await create(channel, srk, template);
      const key = await load(channel, srk, blob);
      return flushing(channel, key, async () => {
        const loaded = await load(channel, srk, ak);
        const statement = await flushing(channel, loaded, () => certify(channel, key, loaded, nonce));
        return { blob, statement };
      });
    }),
  );
}

/** The TPM's key as one that signs requests. */
const tpmSigner = (blob: ObjectBlob<KeyPublic>): TestKey => ({
  spki: spkiOf(blob.area),
  signer: {
    keyAlgorithm: 'P-256',
    signatureAlgorithm: 'ecdsa-with-SHA256',
    spki: spkiOf(blob.area),
    sign: (data: Uint8Array) =>
      tpm.use((channel) =>
        withStorageRoot(channel, async (srk) => {
          const key = await load(channel, srk, blob);
          return flushing(channel, key, async () => (await sign(channel, key, data)).bytes);
        }),
      ),
  },
});

const tpmObject = (
  v: { blob: ObjectBlob<KeyPublic>; statement: { attest: Uint8Array; signature: Uint8Array } },
  more: Record<string, unknown> = {},
): Record<string, unknown> => ({
  fmt: 'tpm',
  attStmt: {
    ver: '2.0',
    alg: COSE_ES256,
    x5c: [aik.good],
    sig: v.statement.signature,
    certInfo: v.statement.attest,
    pubArea: encodePublic(v.blob.area),
    ...more,
  },
});

const payload = (object: unknown): { attObj: string } => ({ attObj: toBase64url(encode(object)) });
const nonceOf = (keyAuthorization: string): Uint8Array => sha256(Buffer.from(keyAuthorization));

async function idevidObject(keyAuthorization: string, key: TestKey, by = device, more: Record<string, unknown> = {}) {
  const sig = await by.key.signer.sign(idevidStatementBytes(keyAuthorization, key.spki));
  return { fmt: IDEVID_FORMAT, attStmt: { alg: COSE_ES256, x5c: [by.idevid], sig, spki: key.spki, ...more } };
}

const finalize = async (url: string, key: TestKey, id = 'KS-0001') =>
  client.post(`${url}/finalize`, { csr: toBase64url(await csrFor(id, key)) });

test('TEST-KEY-03 a key in a TPM is attested by its attestation key, and that key alone gets the LDevID of the device', async () => {
  const { url, authorization, keyAuthorization } = await ordered();
  const made = await tpmKey(nonceOf(keyAuthorization));
  const answered = await client.answer(authorization, 'device-attest-01', { ...payload(tpmObject(made)), unknown: 1 });
  assert.equal(answered.status, 200, answered.text);
  assert.equal(answered.body.status, 'valid');
  const another = await finalize(url, makeKey());
  assert.equal(problem(another), '400 badCSR');
  assert.match(another.text, /another key than the one that was attested/);
  const done = await finalize(url, tpmSigner(made.blob));
  assert.equal(done.status, 200, done.text);
  const chain = await client.post(String(done.body.certificate));
  const [leaf] = fromPem('CERTIFICATE', chain.text) as DerCertificate[];
  assert.ok(leaf);
  const shown = readCertificate(leaf);
  assert.deepEqual(shown.san, ['URI:urn:keystead:device:KS-0001']);
  assert.deepEqual([...shown.spki], [...spkiOf(made.blob.area)]);
  const [entry] = bed.domain.entries('acme.authorization-valid').slice(-1);
  assert.equal(entry?.detail?.how, 'device-attest-01 tpm');
  const stored = bed.domain.store.read((records) =>
    records.acme.authorization(authorization.url.split('/').at(-1) ?? ''),
  );
  assert.equal(JSON.stringify(stored).includes(toBase64url(made.statement.attest)), false, 'the statement is not kept');
});

test('a device proves its IDevID, and gets an LDevID for the key that it signed for', async () => {
  const { url, authorization, keyAuthorization } = await ordered();
  const key = makeKey();
  const answered = await client.answer(
    authorization,
    'device-attest-01',
    payload(await idevidObject(keyAuthorization, key)),
  );
  assert.equal(answered.body.status, 'valid', answered.text);
  assert.equal(problem(await finalize(url, makeKey())), '400 badCSR');
  const done = await finalize(url, key);
  assert.equal(done.body.status, 'valid', done.text);
});

test('each statement that does not show this device, this challenge and this key is refused with its reason, and ends the order', async () => {
  const refused = async (
    object: (keyAuthorization: string) => unknown,
    seen: RegExp,
    id = 'KS-0001',
  ): Promise<void> => {
    const { url, authorization, keyAuthorization } = await ordered(id);
    const answered = await client.answer(authorization, 'device-attest-01', await object(keyAuthorization));
    assert.equal(problem(answered), '400 badAttestationStatement', answered.text);
    assert.match(String(answered.body.detail), seen);
    assert.equal((await client.post(authorization.url)).body.status, 'invalid');
    assert.equal((await client.post(url)).body.status, 'invalid');
  };
  const byTpm =
    (more: Record<string, unknown> = {}, nonce = nonceOf, template = signingTemplate('P-256')) =>
    async (keyAuthorization: string) =>
      payload(tpmObject(await tpmKey(nonce(keyAuthorization), template), more));
  const elsewhere = encodePublic((await tpmKey(nonceOf('x'))).blob.area);
  await refused(byTpm({ x5c: [aik.nobody] }), /not one of KS-0001/);
  await refused(byTpm(), /not one of KS-0002/, 'KS-0002');
  await refused(byTpm({ x5c: [aik.foreign] }), /no-anchor|signature/);
  await refused(byTpm({ x5c: [aik.purpose] }), /not one of an attestation key/);
  await refused(
    byTpm({}, () => nonceOf('another')),
    /nonce/,
  );
  await refused(byTpm({ pubArea: elsewhere }), /another object/);
  await refused(byTpm({ sig: new Uint8Array(72) }), /signature/);
  await refused(byTpm({ alg: -65535 }), /alg/);
  await refused(byTpm({ ver: '1.2' }), /ver/);
  await refused(byTpm({}, nonceOf, attestationTemplate()), /a key with the attributes/);
  const key = makeKey();
  const byIdevid = (by?: TestDevice, more?: Record<string, unknown>) => async (keyAuthorization: string) =>
    payload(await idevidObject(keyAuthorization, key, by, more));
  await refused(byIdevid(other), /the IDevID of KS-0002, for KS-0001/);
  await refused(byIdevid(device, { x5c: [bed.domain.cas.manufacturing] }), /./);
  await refused(byIdevid(device, { spki: makeKey().spki }), /does not verify/);
  await refused(byIdevid(device, { alg: -8 }), /alg/);
  await refused(async () => payload(await idevidObject('another.authorization', key)), /does not verify/);
  await refused(async () => payload({ fmt: 'apple', attStmt: {} }), /the format "apple"/);
  await refused(async () => ({}), /missing/);
  await refused(async () => ({ attObj: '=' }), /base64url/);
  assert.equal(
    bed.domain.entries('acme.authorization-invalid').filter((one) => one.outcome === 'refused').length >= 16,
    true,
  );
});

test('a device that was reported stolen gets nothing, and one outside of the authorisation no order', async () => {
  const outside = await client.post('new-order', { identifiers: [{ type: 'permanent-identifier', value: 'KS-0099' }] });
  assert.equal(problem(outside), '403 rejectedIdentifier');
  const mixed = await client.post('new-order', {
    identifiers: [
      { type: 'permanent-identifier', value: 'KS-0001' },
      { type: 'permanent-identifier', value: 'KS-0002' },
    ],
  });
  assert.equal(problem(mixed), '400 malformed');
  const { url, authorization, keyAuthorization } = await ordered('KS-0002');
  const key = makeKey();
  await client.answer(authorization, 'device-attest-01', payload(await idevidObject(keyAuthorization, key, other)));
  await bed.domain.authority.revoke({
    selector: { deviceId: 'KS-0002' },
    reason: 'keyCompromise',
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'stolen',
  });
  assert.equal(problem(await finalize(url, key, 'KS-0002')), '403 rejectedIdentifier');
  assert.equal((await client.post(url)).body.status, 'invalid');
  const again = await ordered('KS-0002');
  const shown = await client.answer(
    again.authorization,
    'device-attest-01',
    payload(await idevidObject(again.keyAuthorization, key, other)),
  );
  assert.equal(problem(shown), '400 badAttestationStatement');
});

test('whatever bytes are said to be an attestation object, the reader refuses them in its own words, at once', () => {
  const read = (bytes: Uint8Array): void => {
    try {
      readAttestationObject(bytes);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'acme.attestation-refused', String(error));
    }
  };
  const good = encode(tpmObject({ blob: ak, statement: { attest: new Uint8Array(9), signature: new Uint8Array(9) } }));
  readAttestationObject(good);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), read), { numRuns: 500 });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bytes = Uint8Array.from(good);
      bytes[at] = value;
      read(bytes);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.nat(good.length), (length) => read(good.subarray(0, length))),
    { numRuns: 200 },
  );
  for (const bytes of [
    new Uint8Array(16_384).fill(0x81),
    new Uint8Array(16_384).fill(0xa1),
    new Uint8Array(16_384).fill(0xc0),
    new Uint8Array(16_385),
    Uint8Array.from([0x9b, 255, 255, 255, 255, 255, 255, 255, 255]),
    Uint8Array.from([0x5b, 255, 255, 255, 255, 255, 255, 255, 255]),
    Uint8Array.from([0x9f, 0xff]),
    Uint8Array.from([...good, 0]),
  ]) {
    const before = performance.now();
    assert.throws(() => readAttestationObject(bytes), /attestation/);
    assert.ok(performance.now() - before < 1000);
  }
});
