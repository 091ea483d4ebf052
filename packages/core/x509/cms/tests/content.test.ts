import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { SecretBytes, softwareTransport } from '../../../crypto/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { readCertificate } from '../../certificate.ts';
import { printableString } from '../../der/writer.ts';
import { mutated } from '../../tests/mutate.ts';
import { CA_EXTENSIONS, OpensslPki } from '../../tests/openssl-pki.ts';
import {
  contentInfo,
  envelopedData,
  issuerAndSerial,
  openEnveloped,
  readEnveloped,
  readSigned,
  signedData,
  verifySigned,
} from '../index.ts';

const pki = new OpensslPki();
after(() => pki.remove());
pki.issue({ name: 'root', extensions: CA_EXTENSIONS });
const NAMES = { p256: 'P-256', p384: 'P-384', rsa: 'RSA-3072', ed: 'Ed25519' } as const;
for (const [name, algorithm] of Object.entries(NAMES) as [keyof typeof NAMES, (typeof NAMES)[keyof typeof NAMES]][])
  pki.issue({ name, algorithm, issuer: 'root', extensions: ['keyUsage=digitalSignature'] });
const info = (name: string) => readCertificate(pki.certificate(name));
const transportOf = (name: string) => {
  const der = createPrivateKey(readFileSync(pki.path(`${name}.key`))).export({ format: 'der', type: 'pkcs8' });
  return softwareTransport('RSA-3072', SecretBytes.take(new Uint8Array(der)));
};
const SECRET = Buffer.from('what only the recipient may read, longer than one block', 'utf8');
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof KeysteadError, String(error));
    return error.code;
  }
  return 'done';
};

for (const [name, scheme] of [
  ['p256', 'oaep-sha256'],
  ['p384', 'oaep-sha256'],
  ['rsa', 'oaep-sha256'],
  ['rsa', 'pkcs1-v1_5'],
] as const) {
  for (const keyBytes of [16, 32] as const) {
    test(`openssl cms -decrypt opens what was enveloped to ${name} by ${scheme} under AES-${keyBytes * 8} [openssl cms: CMS EnvelopedData]`, () => {
      const made = envelopedData({ type: 'data', content: SECRET, recipient: info(name), keyBytes, scheme });
      pki.write('env.der', contentInfo('envelopedData', made));
      const printed = pki.run('openssl', 'cms', '-cmsout', '-print', '-inform', 'DER', '-in', 'env.der');
      assert.match(printed, new RegExp(`aes-${keyBytes * 8}-cbc`));
      if (name !== 'rsa') assert.match(printed, /dhSinglePass-stdDH-sha(256|384)kdf-scheme/);
      const key = ['-inkey', `${name}.key`, '-recip', `${name}.pem`];
      pki.run('openssl', 'cms', '-decrypt', '-inform', 'DER', '-in', 'env.der', ...key, '-binary', '-out', 'opened');
      assert.deepEqual(Buffer.from(pki.read('opened')), SECRET);
      const other = ['-inkey', 'root.key', '-recip', 'root.pem'];
      assert.notEqual(pki.try('openssl', 'cms', '-decrypt', '-inform', 'DER', '-in', 'env.der', ...other).code, 0);
    });
  }
}

test('nothing is enveloped to an Ed25519 key: it can agree on nothing', () => {
  const order = { type: 'data', content: SECRET, recipient: info('ed'), keyBytes: 32, scheme: 'oaep-sha256' } as const;
  assert.equal(
    codeOf(() => envelopedData(order)),
    'cms.recipient-unfit',
  );
});

test('what openssl cms -encrypt made is opened, by PKCS #1 v1.5 and OAEP, under AES-128 and AES-256; 3DES is refused', () => {
  pki.write('plain', SECRET);
  const encrypt = (cipher: string, ...more: string[]) => {
    const to = ['-recip', 'rsa.pem', ...more];
    pki.run('openssl', 'cms', '-encrypt', '-binary', '-in', 'plain', cipher, '-outform', 'DER', '-out', 'f.der', ...to);
    return pki.read('f.der');
  };
  const oaep = ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256', '-keyopt', 'rsa_mgf1_md:sha256'];
  for (const [cipher, more] of [
    ['-aes128', []],
    ['-aes256', []],
    ['-aes256', oaep],
  ] as const) {
    const message = readEnveloped(encrypt(cipher, ...more));
    const [recipient] = message.recipients;
    assert.ok(recipient);
    assert.deepEqual(Buffer.from(recipient.certificate), Buffer.from(issuerAndSerial(info('rsa'))));
    using opened = openEnveloped(message, recipient, transportOf('rsa'));
    opened.use((bytes) => assert.deepEqual(Buffer.from(bytes), SECRET));
  }
  assert.equal(
    codeOf(() => readEnveloped(encrypt('-des3'))),
    'cms.algorithm',
  );
});

test('a wrapped key that is broken, and content that is, give bytes that make no sense, and never an error that tells which', () => {
  const made = contentInfo(
    'envelopedData',
    envelopedData({ type: 'data', content: SECRET, recipient: info('rsa'), keyBytes: 32, scheme: 'pkcs1-v1_5' }),
  );
  const message = readEnveloped(made);
  const [recipient] = message.recipients;
  assert.ok(recipient);
  const transport = transportOf('rsa');
  for (const at of [0, 1, 200, 383]) {
    const wrapped = Uint8Array.from(recipient.wrapped, (octet, i) => (i === at ? octet ^ 1 : octet));
    using opened = openEnveloped(message, { ...recipient, wrapped }, transport);
    opened.use((bytes) => assert.notDeepEqual(Buffer.from(bytes), SECRET));
  }
  for (const wrapped of [new Uint8Array(0), new Uint8Array(384), new Uint8Array(500).fill(255)])
    openEnveloped(message, { ...recipient, wrapped }, transport).wipe();
  const { iv, ciphertext } = message.encrypted;
  for (let octet = 0; octet < 256; octet += 1) {
    const at = ciphertext.length - 17;
    const changed = Uint8Array.from(ciphertext, (value, i) => (i === at ? octet : value));
    openEnveloped({ ...message, encrypted: { iv, ciphertext: changed } }, recipient, transport).wipe();
  }
});

for (const name of ['p256', 'p384', 'rsa'] as const) {
  test(`openssl cms -verify takes what a ${name} key signed, with further attributes [openssl cms: CMS SignedData]`, async () => {
    const attributes = [{ oid: '2.16.840.1.113733.1.9.2', value: printableString('3') }];
    const made = await signedData({ type: 'data', content: SECRET, attributes, signer: info(name) }, pki.signer(name));
    pki.write('signed.der', contentInfo('signedData', made));
    const from = ['-inform', 'DER', '-in', 'signed.der', '-CAfile', 'root.pem', '-purpose', 'any'];
    pki.run('openssl', 'cms', '-verify', ...from, '-binary', '-out', 'verified');
    assert.deepEqual(Buffer.from(pki.read('verified')), SECRET);
    const message = readSigned(pki.read('signed.der'));
    verifySigned(message, info(name).spki);
    assert.equal(
      codeOf(() => verifySigned({ ...message, content: Uint8Array.of(1) }, info(name).spki)),
      'cms.signature-invalid',
    );
    assert.equal(
      codeOf(() => verifySigned(message, info('root').spki)),
      'cms.signature-invalid',
    );
  });
}

test('what openssl cms -sign made is read and verified; SHA-1 is refused', () => {
  pki.write('plain', SECRET);
  const sign = (digest: string, name: string) => {
    const by = ['-signer', `${name}.pem`, '-inkey', `${name}.key`, '-md', digest];
    pki.run(
      'openssl',
      'cms',
      '-sign',
      '-binary',
      '-nodetach',
      '-in',
      'plain',
      '-outform',
      'DER',
      '-out',
      's.der',
      ...by,
    );
    return pki.read('s.der');
  };
  for (const [digest, name] of [
    ['sha256', 'rsa'],
    ['sha384', 'rsa'],
    ['sha256', 'p256'],
    ['sha384', 'p384'],
  ] as const) {
    const message = readSigned(sign(digest, name));
    verifySigned(message, info(name).spki);
    assert.deepEqual(Buffer.from(message.content ?? []), SECRET);
    assert.deepEqual(message.certificates, [pki.certificate(name)]);
  }
  assert.equal(
    codeOf(() => verifySigned(readSigned(sign('sha1', 'rsa')), info('rsa').spki)),
    'cms.algorithm',
  );
});

test('no bytes make the readers fail in another way than by their own errors', () => {
  const enveloped = contentInfo(
    'envelopedData',
    envelopedData({ type: 'data', content: SECRET, recipient: info('rsa'), keyBytes: 32, scheme: 'pkcs1-v1_5' }),
  );
  const signed = pki.read('s.der');
  const known = new Set(['cms.message-malformed', 'cms.algorithm', 'cms.signature-invalid', 'done']);
  fc.assert(
    fc.property(fc.oneof(mutated([enveloped, signed]), fc.uint8Array({ maxLength: 200 })), (bytes) => {
      assert.ok(known.has(codeOf(() => verifySigned(readSigned(bytes), info('p384').spki))));
      assert.ok(known.has(codeOf(() => readEnveloped(bytes))));
    }),
    { numRuns: 1500 },
  );
});
