import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { fromPem } from '../../../bytes/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { CA_EXTENSIONS, OpensslPki } from '../../tests/openssl-pki.ts';
import { certsOnly, readCertsOnly } from '../certs-only.ts';

const pki = new OpensslPki();
after(() => pki.remove());
const root = pki.issue({ name: 'root', extensions: CA_EXTENSIONS });
const leaf = pki.issue({ name: 'leaf', issuer: 'root', extensions: ['basicConstraints=CA:FALSE'] });
const certificates = (text: string) => fromPem('CERTIFICATE', text);

test('openssl pkcs7, openssl cms and certtool print the certificates of a certs-only message, in its order', () => {
  for (const certs of [[leaf], [leaf, root], [root, leaf]]) {
    pki.write('certs.p7', certsOnly(certs));
    assert.deepEqual(
      certificates(pki.run('openssl', 'pkcs7', '-inform', 'DER', '-in', 'certs.p7', '-print_certs')),
      certs,
    );
    const cms = pki.run('openssl', 'cms', '-cmsout', '-print', '-inform', 'DER', '-in', 'certs.p7');
    assert.match(cms, /contentType: pkcs7-signedData/);
    assert.match(
      pki.run('certtool', '--p7-info', '--inder', '--infile', 'certs.p7'),
      new RegExp(`Number of certificates: ${certs.length}`),
    );
  }
});

test('the messages of openssl crl2pkcs7 are read', () => {
  pki.write('both.pem', pki.run('openssl', 'x509', '-in', 'leaf.pem') + pki.run('openssl', 'x509', '-in', 'root.pem'));
  pki.run('openssl', 'crl2pkcs7', '-nocrl', '-certfile', 'both.pem', '-outform', 'DER', '-out', 'foreign.p7');
  assert.deepEqual(readCertsOnly(pki.read('foreign.p7')), [leaf, root]);
});

test('a message with a signer, with content, or without certificates is refused', () => {
  pki.write('text', 'text');
  pki.run(
    'openssl',
    'cms',
    '-sign',
    '-in',
    'text',
    '-signer',
    'leaf.pem',
    '-inkey',
    'leaf.key',
    '-nodetach',
    '-outform',
    'DER',
    '-out',
    'signed.p7',
  );
  assert.throws(() => readCertsOnly(pki.read('signed.p7')), { code: 'cms.malformed' });
  assert.throws(() => readCertsOnly(certsOnly([])), { code: 'cms.malformed' });
  assert.throws(() => readCertsOnly(Buffer.concat([certsOnly([leaf]), Uint8Array.of(0)])), { code: 'cms.malformed' });
});

test('no bytes make the reader fail in another way than by its own error', () => {
  const good = certsOnly([leaf, root]);
  const mutated = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = new Uint8Array(good);
    bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(
      fc.oneof(
        mutated,
        fc.nat(good.length).map((end) => good.subarray(0, end)),
        fc.uint8Array({ maxLength: 100 }),
      ),
      (bytes) => {
        try {
          assert.ok(readCertsOnly(bytes).length > 0);
        } catch (error) {
          assert.ok(error instanceof KeysteadError && error.code === 'cms.malformed', String(error));
        }
      },
    ),
    { numRuns: 3000 },
  );
});
