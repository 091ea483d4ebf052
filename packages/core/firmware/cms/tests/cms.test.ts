import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { mutated } from '../../../x509/tests/mutate.ts';
import { imageOf } from '../../image.ts';
import { collected, rejection, SigningPki } from '../../tests/cms-signing.ts';
import { contentSubject, readContentSubject } from '../content-subject.ts';
import { cms } from '../index.ts';

const KEYS = { p256: 'P-256', rsa2048: 'RSA-2048', rsa3072: 'RSA-3072' } as const;
const pki = new SigningPki({ ...KEYS, p384: 'P-384', ed: 'Ed25519' });
after(() => pki.remove());

/** A bootloader from Debian. */
const uboot = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
pki.write('image', uboot);
pki.write(
  'other',
  Uint8Array.from(uboot, (octet, at) => (at === 4711 ? octet ^ 1 : octet)),
);

const verify = (content: string, ...more: string[]) =>
  pki.try(
    'openssl',
    ...['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'image.p7s', '-content', content],
    ...['-CAfile', 'root.pem', '-purpose', 'any', '-out', 'verified', ...more],
  );

for (const name of Object.keys(KEYS)) {
  test(`openssl cms -verify takes the detached signature of u-boot by a ${name} key, and of no other file [openssl cms: CMS detached signature]`, async () => {
    pki.write('image.p7s', await pki.sign(cms, imageOf(uboot), name));
    const { code, output } = verify('image');
    assert.equal(code, 0, output);
    assert.deepEqual(Buffer.from(pki.read('verified')), uboot);
    assert.notEqual(verify('other').code, 0);
  });
}

test('openssl cms finds the signer by signingCertificateV2, and the attributes that were signed [openssl cms: CMS signingCertificateV2]', async () => {
  pki.write('image.p7s', await pki.sign(cms, imageOf(uboot), 'p256'));
  const { code, output } = verify('image', '-cades');
  assert.equal(code, 0, output);
  const printed = pki.run('openssl', 'cms', '-cmsout', '-print', '-inform', 'DER', '-in', 'image.p7s');
  for (const attribute of ['contentType', 'messageDigest', 'signingTime', 'id-smime-aa-signingCertificateV2'])
    assert.match(printed, new RegExp(`object: ${attribute} `));
});

test('two keys sign one file, as in the change from one key to the next, and openssl verifies both', async () => {
  pki.write('image.p7s', await pki.sign(cms, imageOf(uboot), 'p256', 'rsa3072'));
  assert.equal(verify('image').code, 0);
  const printed = pki.run('openssl', 'cms', '-cmsout', '-print', '-inform', 'DER', '-in', 'image.p7s');
  assert.equal(printed.match(/d\.issuerAndSerialNumber/g)?.length, 2);
  // The intermediate that both chains have stands there once.
  assert.equal(printed.match(/d\.certificate:/g)?.length, 3);
});

test('a file of no octets has a signature too', async () => {
  pki.write('empty', new Uint8Array());
  pki.write('image.p7s', await pki.sign(cms, imageOf(new Uint8Array()), 'p256'));
  assert.equal(verify('empty').code, 0);
});

test('people see size and digest, which sha256sum gives too', async () => {
  const { shown, subject, signatures } = await cms.read(imageOf(uboot));
  const [digest] = pki.run('sha256sum', 'image').split(' ');
  assert.deepEqual(shown, [
    { name: 'bytes', value: String(uboot.length) },
    { name: 'sha256', value: digest },
  ]);
  assert.equal(signatures, 0);
  assert.deepEqual(cms.claims(subject), { product: null, version: null, securityCounter: null });
});

test('keys that sign with another hash than the file was hashed with are refused, by name', async () => {
  const { subject } = await cms.read(imageOf(uboot));
  for (const name of ['p384', 'ed'])
    assert.equal(await rejection(() => pki.made(cms, subject, name)), 'firmware.key-unsuitable');
});

test('an image that was changed after it was read has no signature', async () => {
  const { subject } = await cms.read(imageOf(uboot));
  const made = await pki.made(cms, subject, 'p256');
  for (const image of [pki.read('other'), uboot.subarray(1), Buffer.concat([uboot, Buffer.alloc(1)])])
    assert.equal(await rejection(() => collected(cms.assemble(imageOf(image), subject, [made]))), 'firmware.malformed');
  assert.equal(await rejection(() => collected(cms.assemble(imageOf(uboot), subject, []))), 'firmware.malformed');
});

test('a subject has one encoding: whatever is changed in it is refused or means another content', () => {
  const subject = contentSubject({ bytes: 70_000, sha256: new Uint8Array(32).fill(7) });
  fc.assert(
    fc.property(mutated([subject]), (bytes) => {
      try {
        const read = readContentSubject(bytes);
        assert.deepEqual(Buffer.from(contentSubject(read)), Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error, String(error));
        assert.equal(error.code, 'firmware.malformed');
      }
    }),
    { numRuns: 2000 },
  );
});
