import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { fromHex, sameBytes } from '../../../bytes/index.ts';
import { verifySignature } from '../../../crypto/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { readCertificate } from '../../certificate.ts';
import { OpensslPki } from '../../tests/openssl-pki.ts';
import { issuerAndSerial, plainSigned, readPlainSigned, unsignedOf } from '../index.ts';

/** An UUID as an OID: 2.25 and 128 bits. */
const TYPE = fromHex('061369f7d380c8f4d5da8793b7c4abe0c9b295e321');
const CONTENT = Buffer.from('record: "something"\nline: "line-1"\n');
let pki: OpensslPki;
before(() => {
  pki = new OpensslPki();
  pki.issue({
    name: 'root',
    algorithm: 'P-256',
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'],
  });
  pki.issue({ name: 'signer', issuer: 'root', algorithm: 'P-256', extensions: ['keyUsage=critical,digitalSignature'] });
  writeFileSync(pki.path('content'), CONTENT);
});
after(() => pki.remove());

const sign = (...more: string[]): Uint8Array => {
  const who = ['-signer', 'signer.pem', '-inkey', 'signer.key', '-md', 'sha256', '-nodetach', '-binary'];
  pki.run('openssl', 'cms', '-sign', '-in', 'content', ...who, '-outform', 'DER', '-out', 'signed.der', ...more);
  return new Uint8Array(readFileSync(pki.path('signed.der')));
};

function message(octets: Uint8Array): Uint8Array {
  pki.run('openssl', 'dgst', '-sha256', '-sign', 'signer.key', '-out', 'plain.sig', 'content');
  return plainSigned({
    content: CONTENT,
    signature: new Uint8Array(readFileSync(pki.path('plain.sig'))),
    signer: readCertificate(pki.certificate('signer')),
    certificates: [],
    unsigned: [{ type: TYPE, octets }],
  });
}

test('openssl takes a signature that was made over a file as CMS, and leaves the attribute that is not signed', () => {
  writeFileSync(pki.path('made.der'), message(Buffer.from('{"proof":1}')));
  const verify = ['cms', '-verify', '-inform', 'DER', '-in', 'made.der', '-CAfile', 'root.pem', '-out', 'read'];
  pki.run('openssl', ...verify);
  assert.deepEqual(readFileSync(pki.path('read')), CONTENT);
});

test('what openssl signs without attributes is read, and its signature is over the content', () => {
  const read = readPlainSigned(sign('-noattr'));
  const signer = readCertificate(pki.certificate('signer'));
  assert.deepEqual(Buffer.from(read.content), CONTENT);
  assert.ok(sameBytes(read.signer, issuerAndSerial(signer)));
  assert.ok(verifySignature('ecdsa-with-SHA256', signer.spki, read.content, read.signature));
  assert.deepEqual(read.unsigned, []);
});

test('a message with signed attributes is not taken: what was signed as one could be shown as the other', () => {
  assert.throws(() => readPlainSigned(sign()), { code: 'cms.message-malformed', seen: /signed attributes/ });
  assert.throws(() => readPlainSigned(sign('-noattr', '-md', 'sha384')), { code: 'cms.algorithm' });
});

test('what was written is what is read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (octets) => {
      const read = readPlainSigned(message(octets));
      assert.deepEqual(Buffer.from(unsignedOf(read, TYPE) ?? []), Buffer.from(octets));
    }),
    { numRuns: 10 },
  );
});

test('bytes that were changed, cut or made up give an error of CMS or another content, and nothing else', () => {
  const whole = message(Buffer.from('{"proof":1}'));
  const read = (bytes: Uint8Array): void => {
    try {
      readPlainSigned(bytes);
    } catch (error) {
      assert.ok(error instanceof KeysteadError, String(error));
      assert.match(error.code, /^cms\./);
    }
  };
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Uint8Array.from(whole);
      changed[at] = (changed[at] ?? 0) ^ flip;
      read(changed);
      assert.throws(() => readPlainSigned(whole.subarray(0, at)), { code: 'cms.message-malformed' });
    }),
    { numRuns: 400 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), read), { numRuns: 300 });
  assert.throws(() => readPlainSigned(new Uint8Array(65 * 1024)), { code: 'cms.message-malformed' });
});
