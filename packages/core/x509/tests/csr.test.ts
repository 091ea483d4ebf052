import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KeysteadError } from '../../errors/index.ts';
import { assembleSigned } from '../assemble.ts';
import { type ParsedCsr, parseCsr, verifyProofOfPossession } from '../csr.ts';
import {
  booleanTrue,
  context,
  integer,
  integerFromBytes,
  nullValue,
  octetString,
  oid,
  printableString,
  sequence,
  setOf,
  tlv,
  utf8String,
} from '../der/writer.ts';
import { generalNamesDer } from '../general-names.ts';
import { formatName, nameDer } from '../names.ts';
import { EXTENSIONS, REQUEST_ATTRIBUTES } from '../oids.ts';
import { checkRequest } from '../requested.ts';
import { newSigner, OPERATOR, profileOf, SERVER } from './profiles.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-csr-'));
after(() => rmSync(dir, { recursive: true }));
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
const code = (expected: string, field?: string) => (error: unknown) =>
  error instanceof KeysteadError && error.code === expected && (field === undefined || error.field === field);

/** A request that OpenSSL makes, DER. */
function opensslCsr(key: string[], ...args: string[]): Uint8Array {
  openssl('genpkey', ...key, '-out', 'key.pem');
  openssl('req', '-new', '-key', 'key.pem', '-outform', 'DER', '-out', 'req.der', ...args);
  return new Uint8Array(readFileSync(join(dir, 'req.der')));
}
const P256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const P384 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'];

for (const [what, key, digest, algorithm, signature] of [
  ['P-256', P256, 'sha256', 'P-256', 'ecdsa-with-SHA256'],
  ['P-256 with SHA-384', P256, 'sha384', 'P-256', 'ecdsa-with-SHA384'],
  ['P-384', P384, 'sha384', 'P-384', 'ecdsa-with-SHA384'],
  ['Ed25519', ['-algorithm', 'ED25519'], 'sha256', 'Ed25519', 'Ed25519'],
  [
    'RSA-2048',
    ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
    'sha256',
    'RSA-2048',
    'sha256WithRSAEncryption',
  ],
  [
    'RSA-3072',
    ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
    'sha384',
    'RSA-3072',
    'sha384WithRSAEncryption',
  ],
] as const)
  test(`a request by OpenSSL is read and its proof of possession verified: ${what}`, () => {
    const csr = parseCsr(opensslCsr([...key], `-${digest}`, '-subj', '/C=DE/O=Acme/CN=pump-1'));
    assert.equal(csr.keyAlgorithm, algorithm);
    assert.equal(csr.signatureAlgorithm, signature);
    assert.equal(formatName(csr.subject), 'CN=pump-1,O=Acme,C=DE');
    verifyProofOfPossession(csr);
    const tampered = Uint8Array.from(csr.signature);
    tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1;
    assert.throws(() => verifyProofOfPossession({ ...csr, signature: tampered }), code('csr.signature-invalid'));
    const info = Uint8Array.from(csr.info);
    info[info.length - 1] = (info.at(-1) ?? 0) ^ 1;
    assert.throws(() => verifyProofOfPossession({ ...csr, info }), code('csr.signature-invalid'));
  });

test('the extensions and an empty subject of a request by OpenSSL are read', () => {
  const config = [
    '[req]',
    'prompt=no',
    'distinguished_name=dn',
    'req_extensions=extensions',
    '[dn]',
    '[extensions]',
    'subjectAltName=critical,DNS:localhost,IP:127.0.0.1,IP:2001:db8::1,URI:urn:keystead:device:pump-1,email:a@b.example,dirName:dir',
    'keyUsage=critical,digitalSignature,keyAgreement',
    'extendedKeyUsage=clientAuth,1.2.3.4',
    'basicConstraints=CA:TRUE,pathlen:3',
    '[dir]',
    'CN=x',
  ].join('\n');
  writeFileSync(join(dir, 'req.cnf'), config);
  const csr = parseCsr(opensslCsr(P256, '-config', 'req.cnf', '-subj', '/'));
  verifyProofOfPossession(csr);
  assert.deepEqual(csr.subject.rdns, []);
  assert.deepEqual(csr.requested.subjectAltName, [
    'DNS:localhost',
    'IP:127.0.0.1',
    'IP:2001:db8::1',
    'URI:urn:keystead:device:pump-1',
    'email:a@b.example',
    'dirName:CN=x',
  ]);
  assert.deepEqual(csr.requested.keyUsage, ['digitalSignature', 'keyAgreement']);
  assert.deepEqual(csr.requested.extKeyUsage, ['clientAuth', '1.2.3.4']);
  assert.deepEqual(csr.requested.basicConstraints, { ca: true, pathLength: 3 });
  assert.deepEqual(csr.requested.names, ['subjectAltName', 'keyUsage', 'extKeyUsage', 'basicConstraints']);
});

test('a request by strongSwan pki and one by GnuTLS certtool are read', () => {
  openssl('genpkey', ...P256, '-out', 'key.pem');
  const args = [
    '--req',
    '--in',
    'key.pem',
    '--type',
    'ecdsa',
    '--dn',
    'O=Acme, CN=pump-1',
    '--san',
    'device.example',
    '--password',
    'once',
  ];
  const swan = parseCsr(execFileSync('pki', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] }));
  verifyProofOfPossession(swan);
  assert.equal(swan.challengePassword, 'once');
  assert.equal(formatName(swan.subject), 'CN=pump-1,O=Acme');
  assert.deepEqual(swan.requested.subjectAltName, ['DNS:device.example']);
  writeFileSync(
    join(dir, 'template'),
    'cn = pump-1\nuri = "urn:keystead:device:pump-1"\nsigning_key\ntls_www_client\n',
  );
  const tls = ['--generate-request', '--load-privkey', 'key.pem', '--template', 'template', '--outder'];
  const gnu = parseCsr(execFileSync('certtool', tls, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] }));
  verifyProofOfPossession(gnu);
  assert.deepEqual(gnu.requested.subjectAltName, ['URI:urn:keystead:device:pump-1']);
});

for (const [what, key, args, expected] of [
  ['P-521', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'], [], 'key.algorithm-forbidden'],
  ['secp256k1', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], [], 'key.algorithm-forbidden'],
  ['Ed448', ['-algorithm', 'ED448'], [], 'key.algorithm-forbidden'],
  ['RSA-1024', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'], [], 'key.algorithm-forbidden'],
  ['RSA-PSS key', ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'], [], 'key.algorithm-forbidden'],
  ['SHA-1 signature', P256, ['-sha1'], 'csr.signature-algorithm'],
  ['PSS signature', ['-algorithm', 'RSA'], ['-sigopt', 'rsa_padding_mode:pss'], 'csr.signature-algorithm'],
  ['a compressed point', [...P256, '-pkeyopt', 'ec_point_format:compressed'], [], 'csr.not-der'],
  ['explicit curve parameters', [...P256, '-pkeyopt', 'ec_param_enc:explicit'], [], 'key.algorithm-forbidden'],
] as const)
  test(`a request is refused with ${expected}: ${what}`, () => {
    const compressed = what === 'a compressed point';
    if (compressed) {
      openssl('genpkey', ...P256, '-out', 'key.pem');
      openssl('ec', '-in', 'key.pem', '-conv_form', 'compressed', '-out', 'compressed.pem');
      openssl('req', '-new', '-key', 'compressed.pem', '-subj', '/CN=x', '-outform', 'DER', '-out', 'req.der');
    } else {
      opensslCsr([...key], '-subj', '/CN=x', ...args);
    }
    assert.throws(() => parseCsr(readFileSync(join(dir, 'req.der'))), code(expected));
  });

const signer = newSigner('P-256');
const attribute = (id: string, ...values: Uint8Array[]) => sequence(oid(id), setOf(...values));
const extension = (id: string, value: Uint8Array) => sequence(oid(id), octetString(value));

/** A request with parts of one's own. */
async function madeCsr(parts: {
  version?: Uint8Array;
  subject?: Uint8Array;
  spki?: Uint8Array;
  attributes?: Uint8Array;
  more?: Uint8Array[];
}): Promise<Uint8Array> {
  const info = sequence(
    parts.version ?? integer(0),
    parts.subject ?? nameDer({ rdns: [{ type: 'CN', value: 'pump-1' }] }),
    parts.spki ?? signer.spki,
    parts.attributes ?? context(0),
    ...(parts.more ?? []),
  );
  return assembleSigned(info, signer.signatureAlgorithm, await signer.sign(info));
}

test('a request without attributes is read', async () => {
  const csr = parseCsr(await madeCsr({}));
  verifyProofOfPossession(csr);
  assert.deepEqual(csr.requested, { names: [], all: [] });
  assert.equal(csr.challengePassword, undefined);
});

const san = extension(EXTENSIONS.subjectAltName, generalNamesDer(['DNS:localhost']));
const { challengePassword, extensionRequest } = REQUEST_ATTRIBUTES;
const rdn = (...members: Uint8Array[]) => sequence(setOf(...members));
const broken: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  'another version': () => madeCsr({ version: integer(1) }),
  'a negative version': () => madeCsr({ version: Uint8Array.of(2, 1, 0xff) }),
  'a version of nine octets': () => madeCsr({ version: integerFromBytes(new Uint8Array(9).fill(1)) }),
  'no attributes at all': () => madeCsr({ attributes: new Uint8Array(0) }),
  'a fifth element': () => madeCsr({ more: [nullValue()] }),
  'attributes with another tag': () => madeCsr({ attributes: context(1) }),
  'a subject that is a SET': () => madeCsr({ subject: setOf() }),
  'an empty RDN': () => madeCsr({ subject: sequence(setOf()) }),
  'an attribute of a name without a value': () => madeCsr({ subject: rdn(sequence(oid('2.5.4.3'))) }),
  'a name that is not UTF-8': () =>
    madeCsr({ subject: rdn(sequence(oid('2.5.4.3'), tlv(0x0c, Uint8Array.of(0xc0, 0x80)))) }),
  'a PrintableString with a @': () => madeCsr({ subject: rdn(sequence(oid('2.5.4.3'), printableString('a@b'))) }),
  'a number as a name': () => madeCsr({ subject: rdn(sequence(oid('2.5.4.3'), integer(1))) }),
  'the same attribute twice': () =>
    madeCsr({ attributes: context(0, ...Array(2).fill(attribute(challengePassword, utf8String('x')))) }),
  'extensionRequest twice': () =>
    madeCsr({ attributes: context(0, ...Array(2).fill(attribute(extensionRequest, sequence(san)))) }),
  'two values of extensionRequest': () =>
    madeCsr({ attributes: context(0, attribute(extensionRequest, sequence(san), sequence())) }),
  'the same extension twice': () =>
    madeCsr({ attributes: context(0, attribute(extensionRequest, sequence(san, san))) }),
  'an attribute without values': () => madeCsr({ attributes: context(0, attribute(challengePassword)) }),
  'an encoded FALSE': () =>
    madeCsr({
      attributes: context(
        0,
        attribute(
          extensionRequest,
          sequence(sequence(oid('2.5.29.17'), tlv(1, Uint8Array.of(0)), octetString(sequence()))),
        ),
      ),
    }),
  'an empty subjectAltName': () =>
    madeCsr({ attributes: context(0, attribute(extensionRequest, sequence(extension('2.5.29.17', sequence())))) }),
  'a subjectAltName with a NUL in a DNS name': () =>
    madeCsr({
      attributes: context(
        0,
        attribute(extensionRequest, sequence(extension('2.5.29.17', sequence(tlv(0x82, Buffer.from('a\0.example')))))),
      ),
    }),
  'an address of five octets': () =>
    madeCsr({
      attributes: context(
        0,
        attribute(extensionRequest, sequence(extension('2.5.29.17', sequence(tlv(0x87, new Uint8Array(5)))))),
      ),
    }),
  'an extension whose value has trailing bytes': () =>
    madeCsr({
      attributes: context(
        0,
        attribute(
          extensionRequest,
          sequence(extension('2.5.29.19', Buffer.concat([sequence(booleanTrue()), nullValue()]))),
        ),
      ),
    }),
  'a key usage with a bit that has no meaning': () =>
    madeCsr({
      attributes: context(
        0,
        attribute(extensionRequest, sequence(extension('2.5.29.15', Uint8Array.of(3, 3, 4, 0, 0x10)))),
      ),
    }),
  'a key with parameters of another algorithm': () =>
    madeCsr({ spki: sequence(sequence(oid('1.3.101.112'), nullValue()), tlv(3, new Uint8Array(33))) }),
  'trailing bytes': async () => Buffer.concat([await madeCsr({}), Uint8Array.of(0)]),
  'a missing last byte': async () => (await madeCsr({})).subarray(0, -1),
  'an indefinite length': async () => {
    const der = await madeCsr({});
    return Buffer.concat([Uint8Array.of(0x30, 0x80), der.subarray((der[1] ?? 0) & 0x80 ? 3 : 2), Uint8Array.of(0, 0)]);
  },
  PEM: async () => Buffer.from('-----BEGIN CERTIFICATE REQUEST-----'),
  'more than 64 KiB': async () => new Uint8Array(64 * 1024 + 1),
  nothing: async () => new Uint8Array(0),
};
for (const [what, make] of Object.entries(broken))
  test(`a request that is not DER of RFC 2986 is refused: ${what}`, async () => {
    const der = await make();
    assert.throws(() => parseCsr(der), code('csr.not-der', 'csr'));
  });

test('a signature algorithm of another family than the key is refused', async () => {
  const info = parseCsr(await madeCsr({})).info;
  const der = assembleSigned(info, 'sha256WithRSAEncryption', new Uint8Array(256));
  assert.throws(() => parseCsr(der), code('csr.signature-algorithm'));
});

test('the bytes of a request are a copy: writing to the buffer that it came in changes nothing', async () => {
  const buffer = await madeCsr({});
  const csr = parseCsr(buffer);
  buffer.fill(0);
  verifyProofOfPossession(csr);
});

const device = profileOf();
const withExtensions = async (...extensions: Uint8Array[]): Promise<ParsedCsr> =>
  parseCsr(await madeCsr({ attributes: context(0, attribute(extensionRequest, sequence(...extensions))) }));
const subjectOf = async (...rdns: { type: string; value: string }[]): Promise<ParsedCsr> =>
  parseCsr(await madeCsr({ subject: nameDer({ rdns }) }));

test('a request may leave the subject empty or name a part of the right one, and nothing else', async () => {
  const named = { deviceId: 'pump-1' };
  const given = checkRequest(await subjectOf(), device, named);
  assert.deepEqual(given.san, ['URI:urn:keystead:device:pump-1']);
  assert.equal(formatName(given.subject), 'serialNumber=pump-1,CN=pump-1,O=Acme Médical');
  for (const rdns of [
    [{ type: 'CN', value: 'pump-1' }],
    [
      { type: 'serialNumber', value: 'pump-1' },
      { type: 'O', value: 'Acme Médical' },
    ],
  ])
    assert.deepEqual(checkRequest(await subjectOf(...rdns), device, named), given);
  for (const rdns of [
    [{ type: 'CN', value: 'pump-2' }],
    [{ type: 'CN', value: 'PUMP-1' }],
    [{ type: 'OU', value: 'pump-1' }],
    [
      { type: 'CN', value: 'pump-1' },
      { type: 'CN', value: 'pump-1' },
    ],
    [
      { type: 'CN', value: 'pump-1' },
      { type: 'O', value: 'Other' },
    ],
  ])
    assert.throws(() => checkRequest(parseCsrOf(rdns), device, named), code('csr.subject-mismatch', 'subject'));
  function parseCsrOf(rdns: { type: string; value: string }[]): ParsedCsr {
    return { ...base, subject: { rdns } };
  }
});
const base = parseCsr(await madeCsr({}));

test('a request may ask only for the extensions that its profile lists, with the values that it gives', async () => {
  const named = { deviceId: 'pump-1' };
  const right = extension(EXTENSIONS.subjectAltName, generalNamesDer(['URI:urn:keystead:device:pump-1']));
  checkRequest(await withExtensions(right), device, named);
  const usage = (octet: number) => extension(EXTENSIONS.keyUsage, Uint8Array.of(3, 2, 7, octet));
  checkRequest(await withExtensions(right, usage(0x80)), device, named);
  // keyEncipherment beside it, as acme-client and cert-manager ask for with every key, is passed over.
  checkRequest(
    await withExtensions(right, extension(EXTENSIONS.keyUsage, Uint8Array.of(3, 2, 5, 0xa0))),
    device,
    named,
  );
  const refused = async (field: string, ...extensions: Uint8Array[]) => {
    const csr = await withExtensions(...extensions);
    assert.throws(() => checkRequest(csr, device, named), code('csr.extension-forbidden', field));
  };
  await refused('subjectAltName', san);
  await refused(
    'subjectAltName',
    extension(EXTENSIONS.subjectAltName, generalNamesDer(['URI:urn:keystead:device:pump-1', 'DNS:localhost'])),
  );
  await refused('keyUsage', extension(EXTENSIONS.keyUsage, Uint8Array.of(3, 2, 2, 0x04)));
  await refused('keyUsage', extension(EXTENSIONS.keyUsage, Uint8Array.of(3, 2, 5, 0x20)));
  await refused('extKeyUsage', extension(EXTENSIONS.extKeyUsage, sequence(oid('1.3.6.1.5.5.7.3.1'))));
  await refused('extensionRequest', extension(EXTENSIONS.basicConstraints, sequence(booleanTrue())));
  await refused('extensionRequest', extension('1.2.3.4', nullValue()));
  const lenient = profileOf({ csrExtensions: ['basicConstraints'] });
  const asksForCa = await withExtensions(extension(EXTENSIONS.basicConstraints, sequence(booleanTrue())));
  assert.throws(() => checkRequest(asksForCa, lenient, named), code('csr.extension-forbidden', 'basicConstraints'));
});

test('names come from the identity that was authenticated; one that the profile needs must be given', () => {
  const empty = { ...base, subject: { rdns: [] } };
  assert.deepEqual(checkRequest(empty, SERVER, { hosts: ['localhost', '127.0.0.1', 'localhost'] }), {
    subject: { rdns: [{ type: 'CN', value: 'localhost' }] },
    san: ['DNS:localhost', 'IP:127.0.0.1'],
  });
  assert.deepEqual(checkRequest(empty, OPERATOR, { person: 'ada' }).san, ['URI:urn:keystead:person:ada']);
  assert.throws(() => checkRequest(empty, OPERATOR, { deviceId: 'ada' }), code('name.malformed', 'person'));
  assert.throws(() => checkRequest(empty, SERVER, { hosts: ['*.example'] }), code('name.malformed', 'host'));
  assert.throws(() => checkRequest(empty, device, { deviceId: 'pump_1' }), code('device.id-malformed', 'deviceId'));
});
