import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toPem } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { dsse, imageOf } from '@keystead/core/firmware';
import { newTestSigner, together } from '../../packages/core/firmware/tests/signers.ts';

const READER = fileURLToPath(new URL('dsse_reader.py', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'keystead-dsse-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

const DIGESTS = { 'P-256': ['-sha256'], 'P-384': ['-sha384'], 'RSA-3072': ['-sha256'], Ed25519: [] };

/** What openssl says of a signature over the encoding that Python made. */
function opensslSays(algorithm: keyof typeof DIGESTS, number: number, key: string): string {
  const [digest] = DIGESTS[algorithm];
  const verify =
    digest === undefined
      ? ['pkeyutl', '-verify', '-rawin', '-pubin', '-inkey', key, '-in', at('pae'), '-sigfile', at(`${number}.sig`)]
      : ['dgst', digest, '-verify', key, '-signature', at(`${number}.sig`), at('pae')];
  return execFileSync('openssl', verify, { encoding: 'utf8', stdio: 'pipe' });
}

test('openssl verifies every signature of an attestation over the encoding that Python makes of its envelope [openssl: DSSE attestation] [python3: DSSE attestation]', async () => {
  const firmware = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
  const provenance = {
    buildDefinition: { buildType: 'https://ci.example/make', externalParameters: { board: 'qemu_arm64' } },
    runDetails: { builder: { id: 'https://ci.example/builders/1' } },
  };
  const image = await dsse.prepare?.(imageOf(firmware), {
    name: 'u-boot.bin',
    predicateType: 'slsa-provenance',
    predicate: JSON.stringify(provenance),
  });
  assert.ok(image !== undefined);
  const { subject, shown } = await dsse.read(image);
  const digest = execFileSync('sha256sum', ['/usr/lib/u-boot/qemu_arm64/u-boot.bin'], { encoding: 'utf8' }).slice(
    0,
    64,
  );
  assert.ok(shown.some(({ value }) => value === `sha256:${digest}`));
  assert.ok(shown.some(({ name, value }) => name === 'builder' && value === 'https://ci.example/builders/1'));

  const algorithms = ['P-256', 'P-384', 'Ed25519', 'RSA-3072'] as const;
  const signers = await Promise.all(algorithms.map((algorithm) => newTestSigner(algorithm)));
  const made = await Promise.all(signers.map((signer) => signer.made(dsse, subject)));
  writeFileSync(at('envelope'), await together(dsse.assemble(image, subject, made)));

  const told = execFileSync('python3', [READER, at('envelope'), directory], { encoding: 'utf8' });
  const { payloadType, keyids, payload } = JSON.parse(told) as Record<string, unknown>;
  assert.equal(payloadType, 'application/vnd.in-toto+json');
  assert.deepEqual(
    keyids,
    signers.map(({ key }) => spkiSha256(key.spki)),
  );
  assert.deepEqual(JSON.parse(String(payload)), {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'u-boot.bin', digest: { sha256: digest } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: provenance,
  });
  const encoding = readFileSync(at('pae'));
  for (const [number, algorithm] of algorithms.entries()) {
    const key = signers[number]?.key;
    assert.ok(key !== undefined);
    writeFileSync(at('key.pem'), toPem('PUBLIC KEY', key.spki));
    writeFileSync(at('pae'), encoding);
    assert.match(opensslSays(algorithm, number, at('key.pem')), /Verified (OK|Successfully)/);
    // It is a signature of this encoding and of no other.
    writeFileSync(at('pae'), Buffer.concat([encoding, Buffer.from(' ')]));
    assert.throws(() => opensslSays(algorithm, number, at('key.pem')), { stdout: /Verification failure/i });
  }
});
