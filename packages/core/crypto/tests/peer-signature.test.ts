import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import type { DerSpki } from '../../bytes/index.ts';
import { type PeerSignatureAlgorithm, peerKeyWeakness, verifyPeerSignature } from '../index.ts';

const DATA = Buffer.from('what was signed');
const spkiOf = (key: KeyObject) => new Uint8Array(key.export({ format: 'der', type: 'spki' })) as DerSpki;

type Pair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
const ec = (namedCurve: string): Pair => generateKeyPairSync('ec', { namedCurve });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** Each kind of signature that is accepted: its algorithm, a key, and the signature that node:crypto makes. */
const ACCEPTED: readonly (readonly [name: string, PeerSignatureAlgorithm, Pair, (key: KeyObject) => Buffer])[] = [
  ['sha512WithRSAEncryption', { oid: '1.2.840.113549.1.1.13' }, rsa, (key) => sign('sha512', DATA, key)],
  [
    'RSASSA-PSS with SHA-384',
    { oid: '1.2.840.113549.1.1.10', pss: { hash: 'sha384', saltLength: 48 } },
    rsa,
    (key) => sign('sha384', DATA, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 }),
  ],
  ['ecdsa-with-SHA224 on P-224', { oid: '1.2.840.10045.4.3.1' }, ec('secp224r1'), (key) => sign('sha224', DATA, key)],
  ['ecdsa-with-SHA512 on P-521', { oid: '1.2.840.10045.4.3.4' }, ec('secp521r1'), (key) => sign('sha512', DATA, key)],
  ['Ed25519', { oid: '1.3.101.112' }, generateKeyPairSync('ed25519'), (key) => sign(null, DATA, key)],
  ['Ed448', { oid: '1.3.101.113' }, generateKeyPairSync('ed448'), (key) => sign(null, DATA, key)],
  ['ML-DSA-44', { oid: '2.16.840.1.101.3.4.3.17' }, generateKeyPairSync('ml-dsa-44'), (key) => sign(null, DATA, key)],
  ['ML-DSA-65', { oid: '2.16.840.1.101.3.4.3.18' }, generateKeyPairSync('ml-dsa-65'), (key) => sign(null, DATA, key)],
  ['ML-DSA-87', { oid: '2.16.840.1.101.3.4.3.19' }, generateKeyPairSync('ml-dsa-87'), (key) => sign(null, DATA, key)],
];

for (const [name, algorithm, { privateKey, publicKey }, make] of ACCEPTED)
  test(`a peer's signature of ${name} is valid, and invalid over other data, with a changed bit, or by another key`, () => {
    const spki = spkiOf(publicKey);
    const signature = make(privateKey);
    assert.deepEqual(verifyPeerSignature(algorithm, spki, DATA, signature), { verdict: 'valid' });
    assert.deepEqual(verifyPeerSignature(algorithm, spki, Buffer.from('another'), signature), { verdict: 'invalid' });
    const changed = Buffer.from(signature);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    assert.deepEqual(verifyPeerSignature(algorithm, spki, DATA, changed), { verdict: 'invalid' });
    const other = ACCEPTED.find(
      ([, { oid }]) => oid !== algorithm.oid && oid.slice(0, 10) !== algorithm.oid.slice(0, 10),
    );
    assert.ok(other !== undefined);
    assert.deepEqual(verifyPeerSignature(algorithm, spkiOf(other[2].publicKey), DATA, signature), {
      verdict: 'invalid',
    });
  });

test('what has less than 112 bits of strength, or is of no accepted kind, is weak, whether it verifies or not', () => {
  const weak = (algorithm: PeerSignatureAlgorithm, pair: Pair, signature: Uint8Array): void =>
    assert.equal(verifyPeerSignature(algorithm, spkiOf(pair.publicKey), DATA, signature).verdict, 'weak');
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
  weak({ oid: '1.2.840.113549.1.1.11' }, short, sign('sha256', DATA, short.privateKey));
  weak({ oid: '1.2.840.113549.1.1.5' }, rsa, sign('sha1', DATA, rsa.privateKey));
  weak({ oid: '1.2.840.113549.1.1.4' }, rsa, sign('md5', DATA, rsa.privateKey));
  weak({ oid: '1.2.840.113549.1.1.10' }, rsa, new Uint8Array(256));
  weak({ oid: '1.2.840.113549.1.1.10', pss: { hash: 'sha1', saltLength: 20 } }, rsa, new Uint8Array(256));
  const koblitz = ec('secp256k1');
  weak({ oid: '1.2.840.10045.4.3.2' }, koblitz, sign('sha256', DATA, koblitz.privateKey));
  const dsa = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 });
  weak({ oid: '2.16.840.1.101.3.4.3.2' }, dsa, sign('sha256', DATA, dsa.privateKey));
  assert.equal(verifyPeerSignature({ oid: '1.3.101.112' }, new Uint8Array(5) as DerSpki, DATA, DATA).verdict, 'weak');
  assert.match(peerKeyWeakness(spkiOf(short.publicKey)) ?? '', /RSA of 1024 bits/);
  assert.equal(peerKeyWeakness(spkiOf(rsa.publicKey)), undefined);
});
