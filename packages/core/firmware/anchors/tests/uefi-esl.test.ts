import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { toHex } from '../../../bytes/index.ts';
import { authenticode } from '../../authenticode/index.ts';
import { imageDigestOf } from '../../authenticode/indirect-data.ts';
import { imageOf } from '../../image.ts';
import { SigningPki } from '../../tests/cms-signing.ts';
import { uefiCertificateLists, uefiDigestList } from '../uefi-esl.ts';

const OWNER = '77fa9abd-0359-4d32-bd60-28f4e78f784b';
const pki = new SigningPki({ rsa: 'RSA-2048' });
after(() => pki.remove());

test('the list of a certificate is to the octet what cert-to-efi-sig-list writes [efitools: UEFI ESL write]', () => {
  for (const name of ['root', 'rsa']) {
    pki.run('cert-to-efi-sig-list', '-g', OWNER, `${name}.pem`, 'theirs.esl');
    const ours = uefiCertificateLists([pki.certificate(name)], OWNER);
    assert.deepEqual(Buffer.from(ours), Buffer.from(pki.read('theirs.esl')));
  }
});

test('sig-list-to-certs gives back each certificate of several lists [efitools: UEFI ESL read]', () => {
  const names = ['root', 'intermediate', 'rsa'];
  pki.write(
    'db.esl',
    uefiCertificateLists(
      names.map((name) => pki.certificate(name)),
      OWNER,
    ),
  );
  const told = pki.run('sig-list-to-certs', 'db.esl', 'db');
  assert.equal(told.match(/X509 Header/g)?.length, 3, told);
  for (const [index, name] of names.entries())
    assert.deepEqual(Buffer.from(pki.read(`db-${index}.der`)), Buffer.from(pki.certificate(name)));
});

test('the list of an image that nobody shall start any more is to the octet what hash-to-efi-sig-list writes [efitools: UEFI ESL digests]', async () => {
  const paths = ['HelloWorld.efi', 'HashTool.efi'].map((name) => `/usr/lib/efitools/x86_64-linux-gnu/${name}`);
  pki.run('hash-to-efi-sig-list', ...paths, 'theirs.esl');
  const theirs = Buffer.from(pki.read('theirs.esl'));
  const digests: Uint8Array[] = [];
  for (const path of paths) digests.push(imageDigestOf((await authenticode.read(imageOf(readFileSync(path)))).subject));
  // The tool has an owner of its own, which stands in its file.
  const raw = Buffer.from(theirs.subarray(28, 44));
  const fields = [raw.subarray(0, 4).reverse(), raw.subarray(4, 6).reverse(), raw.subarray(6, 8).reverse()];
  const owner = [...fields, raw.subarray(8, 10), raw.subarray(10)].map(toHex).join('-');
  assert.deepEqual(Buffer.from(uefiDigestList(digests, owner)), theirs);
});

test('an owner that is no GUID, and a digest that is none, are refused', () => {
  assert.throws(() => uefiCertificateLists([pki.certificate('root')], 'somebody'), RangeError);
  assert.throws(() => uefiDigestList([], OWNER), RangeError);
  assert.throws(() => uefiDigestList([new Uint8Array(20)], OWNER), RangeError);
});
