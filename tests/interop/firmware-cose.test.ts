import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DerSpki, toHex, toPem } from '@keystead/core/bytes';
import { sha256, spkiSha256, verifySignature } from '@keystead/core/crypto';
import { cose, coseFormat, imageOf, suit } from '@keystead/core/firmware';
import { newTestSigner, together } from '../../packages/core/firmware/tests/signers.ts';

const READER = fileURLToPath(new URL('cose_reader.py', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'keystead-cose-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);
const FIRMWARE = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';
const firmware = readFileSync(FIRMWARE);
const NUMBERS = { 'P-256': -7, 'P-384': -35, Ed25519: -8, 'ML-DSA-65': -49 } as const;

/** openssl over what Python rebuilt; ML-DSA, which Debian's openssl does not know, by Node.js's own. */
function requireVerified(algorithm: keyof typeof NUMBERS, number: number, spki: DerSpki): void {
  const [signed, signature] = [at(`${number}.signed`), at(`${number}.sig`)];
  if (algorithm === 'ML-DSA-65') {
    assert.ok(verifySignature('ML-DSA-65', spki, readFileSync(signed), readFileSync(signature)));
    return;
  }
  writeFileSync(at('key.pem'), toPem('PUBLIC KEY', spki));
  const digest = { 'P-256': ['-digest', 'sha256'], 'P-384': ['-digest', 'sha384'], Ed25519: [] }[algorithm];
  const files = ['-pubin', '-inkey', at('key.pem'), '-in', signed, '-sigfile', signature];
  const said = execFileSync('openssl', ['pkeyutl', '-verify', '-rawin', ...digest, ...files], { encoding: 'utf8' });
  assert.match(said, /Signature Verified Successfully/);
}

test('openssl verifies COSE_Sign1 by each key over what Python rebuilds, with ML-DSA as the last of them [openssl: COSE firmware] [python3: COSE firmware]', async () => {
  const algorithms = ['P-256', 'P-384', 'Ed25519', 'ML-DSA-65'] as const;
  const signers = await Promise.all(algorithms.map((algorithm) => newTestSigner(algorithm)));
  for (const where of ['attached', 'detached'] as const) {
    const format = coseFormat({ payload: where });
    const image = imageOf(firmware);
    const { subject } = await format.read(image);
    const made = await Promise.all(signers.map((signer) => signer.made(format, subject)));
    writeFileSync(at('signatures'), await together(format.assemble(image, subject, made)));
    const told = execFileSync('python3', ['-B', READER, 'cose', at('signatures'), FIRMWARE, directory], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    const read = JSON.parse(told) as Record<string, Record<string, unknown>>[];
    assert.equal(read.length, 4);
    for (const [number, algorithm] of algorithms.entries()) {
      const [signer, found] = [signers[number], read[number]];
      assert.ok(signer !== undefined && found !== undefined);
      assert.deepEqual(found.protected, { 1: NUMBERS[algorithm], 4: spkiSha256(signer.key.spki) });
      assert.deepEqual(found.unprotected, { 33: toHex(signer.terms.signer) });
      assert.equal(found.payload, where === 'attached' ? toHex(firmware) : null);
      requireVerified(algorithm, number, signer.key.spki);
    }
  }
});

test('an image longer than a subject is signed by its hash, which says that it is one [openssl: COSE firmware by hash] [python3: COSE firmware by hash]', async () => {
  const size = 5 * 1024 * 1024;
  const large = Buffer.alloc(size, 'firmware');
  const image = imageOf(large);
  const { subject } = await cose.read(image);
  assert.ok(subject.length < 64);
  const signer = await newTestSigner('P-256');
  writeFileSync(at('signatures'), await together(cose.assemble(image, subject, [await signer.made(cose, subject)])));
  const told = execFileSync('python3', ['-B', READER, 'cose', at('signatures'), '/dev/null', directory], {
    encoding: 'utf8',
  });
  const [found] = JSON.parse(told) as Record<string, unknown>[];
  assert.equal(found?.payload, toHex(sha256(large)));
  assert.deepEqual(found?.protected, { 1: -7, 4: spkiSha256(signer.key.spki), 258: -16 });
  requireVerified('P-256', 0, signer.key.spki);
});

test('a SUIT manifest of U-Boot read in Python says what was asked for, and both its signatures verify [openssl: SUIT manifest] [python3: SUIT manifest]', async () => {
  const image = await suit.prepare?.(imageOf(firmware), {
    vendorId: 'fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe',
    classId: '1492af14-2569-5e48-bf42-9b2d51f2ab45',
    sequenceNumber: '42',
    uri: 'https://updates.acme.example/u-boot.bin',
  });
  assert.ok(image !== undefined);
  const reading = await suit.read(image);
  assert.equal(reading.securityCounter, 42);
  const signers = [await newTestSigner('Ed25519'), await newTestSigner('ML-DSA-65')] as const;
  const made = await Promise.all(signers.map((signer) => signer.made(suit, reading.subject)));
  writeFileSync(at('envelope'), await together(suit.assemble(image, reading.subject, made)));
  const told = execFileSync('python3', ['-B', READER, 'suit', at('envelope'), directory], { encoding: 'utf8' });
  const { manifest, signatures } = JSON.parse(told) as { manifest: unknown; signatures: Record<string, unknown>[] };
  const digest = execFileSync('sha256sum', [FIRMWARE], { encoding: 'utf8' }).slice(0, 64);
  assert.deepEqual(manifest, {
    version: 1,
    sequence: 42,
    components: [['00']],
    shared: [
      20,
      {
        1: 'fa6b4a53d5ad5fdfbe9de663e4d41ffe',
        2: '1492af1425695e48bf429b2d51f2ab45',
        3: `822f5820${digest}`,
        14: firmware.length,
      },
      1,
      15,
      2,
      15,
    ],
    validate: [3, 15],
    install: [20, { 21: 'https://updates.acme.example/u-boot.bin' }, 21, 2, 3, 15],
  });
  assert.deepEqual(
    signatures.map((one) => [one.payload, one.unprotected]),
    [
      [null, {}],
      [null, {}],
    ],
  );
  requireVerified('Ed25519', 0, signers[0].key.spki);
  requireVerified('ML-DSA-65', 1, signers[1].key.spki);
});
