import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { canonicalJson } from '../../bytes/index.ts';
import { generateSoftwareKey, softwareSigner } from '../../crypto/index.ts';
import { nameWiped, signWipeEvidence, verifyWipeEvidence, type WipeClaims } from '../index.ts';

const { spki, pkcs8 } = await generateSoftwareKey('P-256');
const signer = softwareSigner('P-256', pkcs8);
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `left over: file note.${index}`);
const claims = (named: Pick<WipeClaims, 'wiped' | 'more'>): WipeClaims => ({
  v: 1,
  deviceId: 'pump-1',
  at: '2026-11-28T12:00:00Z',
  idevidSerial: '0a0b',
  limits: 'flash',
  ...named,
});

test('TEST-KEY-24: evidence of a wipe names sixty things, and counts the rest by a hash over all of their names, so that none is left out unseen', async () => {
  assert.deepEqual(nameWiped(names(60)), { wiped: names(60) });
  const many = names(5000);
  const named = nameWiped(many);
  assert.deepEqual(named.wiped, many.slice(0, 60));
  const rest = many.slice(60);
  const sha256 = createHash('sha256').update(canonicalJson(rest)).digest('hex');
  assert.deepEqual(named.more, { count: 4940, sha256 });
  const evidence = await signWipeEvidence(claims(named), signer);
  assert.deepEqual(verifyWipeEvidence(evidence, spki), claims(named));

  // Whoever takes one away, or says another number, has no signature.
  const { payload, ...kept } = JSON.parse(evidence) as { payload: string };
  const other = { ...claims(named), more: { count: 4939, sha256 } };
  const forged = Buffer.from(canonicalJson(other)).toString('base64url');
  assert.throws(() => verifyWipeEvidence(JSON.stringify({ ...kept, payload: forged }), spki), {
    code: 'evidence.wipe-signature',
  });
});

test('a name that is too long for the evidence is told by its beginning and its hash, and two that differ stay two', () => {
  const [one, two] = ['a', 'b'].map((end) => `left over: file ${'x'.repeat(250)}${end}`);
  const { wiped } = nameWiped([one ?? '', two ?? '']);
  assert.ok(wiped.every((name) => name.length <= 200));
  assert.notEqual(wiped[0], wiped[1]);
  assert.match(
    wiped[0] ?? '',
    new RegExp(
      `${createHash('sha256')
        .update(one ?? '')
        .digest('hex')}$`,
    ),
  );
});

test('claims that count nothing, or more by no hash, are refused', async () => {
  const broken = [{ count: 0, sha256: '0'.repeat(64) }, { count: 1, sha256: 'x' }, { count: 1 }];
  for (const more of broken)
    await assert.rejects(signWipeEvidence(claims({ wiped: ['x'], more } as never), signer), { name: 'ZodError' });
});
