import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import type { PostQuantumAlgorithm } from '@keystead/core/crypto';
import { dsseSigners, readDsseEnvelope } from '@keystead/core/firmware';
import { readCertificate } from '@keystead/core/x509';
import { ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js';
import { slh_dsa_sha2_128s } from '@noble/post-quantum/slh-dsa.js';
import { firmwareOf, signImage } from './firmware-algorithms-bed.ts';
import { FirmwareBed } from './firmware-bed.ts';

/** A key of today, and beside it one of each kind against quantum computers; every one is of the founding. */
const KEYS = {
  today: { algorithm: 'P-256' },
  'ml-65': { algorithm: 'ML-DSA-65' },
  'ml-87': { algorithm: 'ML-DSA-87' },
  slh: { algorithm: 'SLH-DSA-SHA2-128s' },
  dev: { algorithm: 'ML-DSA-65', environment: 'development' },
} as const;
const QUANTUM = ['ml-65', 'ml-87', 'slh'] as const;
const READER = fileURLToPath(new URL('../../../../tests/interop/cose_reader.py', import.meta.url));
const UBOOT = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';
const firmware = new Uint8Array(readFileSync(UBOOT));
let bed: FirmwareBed;
let dir: string;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keystead-fk-quantum-'));
  bed = await FirmwareBed.make({
    firmware: firmwareOf(KEYS, ['dsse', 'cose', 'suit', 'cms', 'sshsig', 'mcuboot', 'tuf']),
  });
});
after(async () => {
  await bed.keyd.remove();
  rmSync(dir, { recursive: true, force: true });
});
const at = (name: string): string => join(dir, name);
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

/** The verdict of noble-post-quantum, which is JavaScript throughout: keyd signs by the OpenSSL in Node.js. */
function nobleSays(
  id: (typeof QUANTUM)[number] | 'dev',
  signer: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) {
  const { keyAlgorithm, spki } = readCertificate(signer as DerCertificate);
  assert.equal(keyAlgorithm, KEYS[id].algorithm);
  const [scheme, octets] = {
    'ML-DSA-65': [ml_dsa65, 1952] as const,
    'ML-DSA-87': [ml_dsa87, 2592] as const,
    'SLH-DSA-SHA2-128s': [slh_dsa_sha2_128s, 32] as const,
  }[KEYS[id].algorithm satisfies PostQuantumAlgorithm];
  return scheme.verify(signature, message, spki.subarray(-octets));
}

test('TEST-KEY-22 keys against quantum computers are certified by the signing root like every other, and openssl takes its signature in each certificate [openssl: X.509 signature ML-DSA and SLH-DSA signer]', async () => {
  const { keys } = await bed.keyd.client.firmwareKeys();
  const { certificates } = await bed.keyd.client.trust();
  assert.ok(certificates['signing-root']);
  const root = readCertificate(certificates['signing-root']);
  writeFileSync(at('root.pem'), toPem('PUBLIC KEY', root.spki));
  for (const { id, algorithm, certificate, environment, refused } of keys) {
    assert.ok(certificate);
    assert.equal(refused, null);
    const { keyAlgorithm, keyUsage, extKeyUsage, tbs, signature, issuerDer } = readCertificate(certificate);
    // RFC 9881 section 5, RFC 9909 section 6: these keys sign, and nothing else.
    assert.deepEqual([keyAlgorithm, keyUsage, extKeyUsage], [algorithm, ['digitalSignature'], ['codeSigning']], id);
    if (environment === 'development') continue;
    assert.deepEqual(issuerDer, root.subjectDer);
    // `openssl verify` of Debian's 3.0 builds no path from a key that it does not know.
    writeFileSync(at('tbs'), tbs);
    writeFileSync(at('signature'), signature);
    assert.match(openssl('dgst', '-sha384', '-verify', at('root.pem'), '-signature', at('signature'), at('tbs')), /OK/);
    // The OpenSSL 3.5 in Node.js reads the key, and the certificate is issued by the root to it too.
    const [leaf, issuer] = [certificate, certificates['signing-root']].map((der) => new X509Certificate(der));
    assert.ok(leaf && issuer);
    assert.equal(leaf.checkIssued(issuer), true);
    if (id !== 'today') assert.equal(leaf.publicKey.asymmetricKeyType, algorithm.toLowerCase());
  }
});

test('TEST-KEY-23 TEST-KEY-22 an attestation that keyd signs by four keys at once holds by each: openssl takes that of today, another implementation those against quantum computers [openssl: DSSE P-256 verify] [noble-post-quantum: DSSE ML-DSA-65 verify, DSSE ML-DSA-87 verify, DSSE SLH-DSA verify]', async () => {
  const { signed, made, subject } = await signImage(bed, 'dsse', Buffer.from('{"a":1}'), ['today', ...QUANTUM]);
  const [today, ...others] = made;
  assert.ok(today);
  writeFileSync(at('pae'), subject);
  writeFileSync(at('signature'), today.signature);
  writeFileSync(at('key.pem'), toPem('PUBLIC KEY', readCertificate(today.signer).spki));
  assert.match(openssl('dgst', '-sha256', '-verify', at('key.pem'), '-signature', at('signature'), at('pae')), /OK/);
  for (const [number, id] of QUANTUM.entries()) {
    const one = others[number];
    assert.ok(one);
    assert.equal(nobleSays(id, one.signer, subject, one.signature), true, id);
    assert.equal(nobleSays(id, one.signer, Buffer.concat([subject, subject]), one.signature), false, id);
  }
  const envelope = readDsseEnvelope(signed);
  const keys = made.map(({ signer }) => readCertificate(signer).spki);
  assert.equal(dsseSigners(envelope, keys).length, 4);
});

test('TEST-KEY-22 COSE_Sign1 and a SUIT manifest carry the signature of today and those of ML-DSA over what Python rebuilds [python3: COSE firmware, SUIT manifest] [noble-post-quantum: COSE ML-DSA-65 verify, SUIT ML-DSA-87 verify]', async () => {
  const cose = await signImage(bed, 'cose', firmware, ['today', 'ml-65', 'ml-87']);
  const parameters = {
    vendorId: 'fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe',
    classId: '1492af14-2569-5e48-bf42-9b2d51f2ab45',
    sequenceNumber: '7',
    uri: 'https://updates.example/u-boot.bin',
  };
  const suit = await signImage(bed, 'suit', firmware, ['today', 'ml-65', 'ml-87'], { parameters });
  for (const [kind, { signed, made }] of Object.entries({ cose, suit })) {
    writeFileSync(at('signed'), signed);
    execFileSync('python3', ['-B', READER, kind, at('signed'), ...(kind === 'cose' ? [UBOOT] : []), dir], {
      maxBuffer: 64 * 1024 * 1024,
    });
    const read = (number: number, end: string) => new Uint8Array(readFileSync(at(`${number}.${end}`)));
    for (const [number, id] of (['ml-65', 'ml-87'] as const).entries()) {
      const [one, place] = [made[number + 1], number + 1];
      assert.ok(one);
      assert.equal(nobleSays(id, one.signer, read(place, 'signed'), read(place, 'sig')), true, `${kind} ${id}`);
    }
    writeFileSync(
      at('key.pem'),
      toPem('PUBLIC KEY', readCertificate(made[0]?.signer ?? (new Uint8Array() as DerCertificate)).spki),
    );
    const files = ['-signature', at('0.sig'), at('0.signed')];
    assert.match(openssl('dgst', '-sha256', '-verify', at('key.pem'), ...files), /OK/);
  }
});

test('a development key against quantum computers certifies itself, and signs after a restart', async () => {
  await bed.keyd.restart();
  const { made, subject } = await signImage(bed, 'dsse', firmware, ['dev'], { environment: 'development' });
  const [one] = made;
  assert.ok(one);
  const { issuerDer, subjectDer } = readCertificate(one.signer);
  assert.deepEqual(issuerDer, subjectDer);
  assert.equal(nobleSays('dev', one.signer, subject, one.signature), true);
});

test('a format that has no place for such a signature refuses the order by name before anything is written down', async () => {
  const counted = async () => (await bed.keyd.client.firmwareSignatures({ from: 0, limit: 500 })).orders.length;
  const before = await counted();
  for (const [format, keys, parameters] of [
    ['cms', ['today', 'ml-65'], undefined],
    ['sshsig', ['ml-87'], undefined],
    ['cose', ['today', 'slh'], undefined],
    ['mcuboot', ['today', 'ml-65'], { version: '1.0.0', 'header-size': '0x200' }],
  ] as const) {
    const asked = signImage(bed, format, firmware, [...keys], { parameters });
    await assert.rejects(asked, { code: 'firmware.key-unsuitable', message: /ML-DSA|SLH-DSA/ }, format);
  }
  assert.equal(await counted(), before);
});
