import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toHex, toPem } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { signBundle, signBundleJws } from '@keystead/core/trust';
import { type FlattenedJWSInput, flattenedVerify } from 'jose';
import { contentWith, newRoot, newSigner, pin } from '../../packages/core/trust/tests/bundle-source.ts';

const READER = fileURLToPath(new URL('trust_bundle_reader.py', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'keystead-bundle-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

test('TEST-KEY-10 a trust bundle read in Python by the page alone says the same, and openssl verifies its signature [openssl: COSE trust bundle] [python3: COSE trust bundle]', async () => {
  const root = await newRoot();
  for (const algorithm of ['P-256', 'P-384', 'Ed25519'] as const) {
    const signer = newSigner(algorithm);
    const content = contentWith(signer, root);
    writeFileSync(at('bundle'), await signBundle(content, signer));
    const told = execFileSync('python3', ['-B', READER, at('bundle'), at('signed'), at('signature')], {
      encoding: 'utf8',
    });
    writeFileSync(at('key.pem'), toPem('PUBLIC KEY', signer.spki));
    const files = ['-inkey', at('key.pem'), '-pubin', '-in', at('signed'), '-sigfile', at('signature')];
    const digest = { 'P-256': ['-digest', 'sha256'], 'P-384': ['-digest', 'sha384'], Ed25519: [] }[algorithm];
    const verify = ['pkeyutl', '-verify', '-rawin', ...digest, ...files];
    assert.match(execFileSync('openssl', verify, { encoding: 'utf8' }), /Signature Verified Successfully/);
    const { header, content: read } = JSON.parse(told) as Record<string, Record<string, unknown>>;
    assert.equal(header?.['4'], spkiSha256(signer.spki));
    const { fleet, version, issuedAt, expires, anchors, pins, signers, firmware } = content;
    const [anchor, , ,] = anchors;
    assert.deepEqual(read, {
      1: 1,
      2: fleet,
      3: version,
      4: issuedAt,
      5: expires,
      6: [[0, toHex(root), anchor?.from, anchor?.until]],
      7: pins.map(({ role, keys }) => [role, keys.map((key, use) => [key.spkiSha256, use, key.from, key.until])]),
      8: signers.map((one) => [toHex(one.spki), one.from, one.until]),
      9: firmware.map((one) => [one.product, [pin('firmware')], one.minimumSecurityCounter]),
      10: null,
    });
  }
});

test('TEST-KEY-10 the same content as people have it is a JWS that jose verifies by the signer of the page, and nothing else is', async () => {
  const root = await newRoot();
  for (const [algorithm, alg] of [
    ['P-256', 'ES256'],
    ['P-384', 'ES384'],
    ['Ed25519', 'Ed25519'],
  ] as const) {
    const [signer, other] = [newSigner(algorithm), newSigner(algorithm)];
    const content = contentWith(signer, root);
    const jws = JSON.parse(await signBundleJws(content, signer)) as FlattenedJWSInput;
    const key = (of: typeof signer) => createPublicKey({ key: Buffer.from(of.spki), format: 'der', type: 'spki' });
    const { payload, protectedHeader } = await flattenedVerify(jws, key(signer));
    assert.deepEqual(protectedHeader, { alg, kid: spkiSha256(signer.spki), typ: 'keystead-trust-bundle' });
    const told = JSON.parse(Buffer.from(payload).toString('utf8')) as Record<string, unknown>;
    assert.deepEqual([told.fleet, told.version, told.expires], [content.fleet, content.version, content.expires]);
    assert.deepEqual(told.pins, content.pins);
    await assert.rejects(flattenedVerify(jws, key(other)), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
  }
});
