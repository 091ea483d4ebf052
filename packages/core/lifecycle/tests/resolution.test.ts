import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBase64 } from '../../bytes/index.ts';
import { generateSoftwareKey, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { demoPolicy } from '../demo-policy.ts';
import { addResolutionSignature, parseResolution, signResolution, verifyResolution } from '../factory/index.ts';
import type { Role } from '../roles.ts';

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const person = () => softwareSigner('P-256', generateSoftwareKey('P-256').pkcs8);
const people = { cas: person(), cleo: person(), paul: person(), lin: person() };
const ROLES: Readonly<Record<keyof typeof people, Role>> = {
  cas: 'ca-operator',
  cleo: 'ca-operator',
  paul: 'policy-administrator',
  lin: 'line-operator',
};
const operators = Object.entries(ROLES).map(([name, role]) => ({
  name,
  roles: [role],
  spki: toBase64(people[name as keyof typeof people].spki),
}));
const now = new Date('2026-03-02T08:00:00Z');
const policyOf = (demonstration: boolean) => ({
  ...demoPolicy({ operators: [], issued: now, demonstration: true }),
  operators,
  demonstration,
});
const draft = {
  act: 'accept' as const,
  ...{ id: 'r-1', factory: 'berlin-1', reason: 'an older disk', number: 3, sha256: 'a'.repeat(64) },
  ...{ signedAt: '2026-03-02T08:00:00Z', expiresAt: '2026-03-02T09:00:00Z' },
};

test('TEST-KEY-19 a decision about a conflict takes as many people as a batch ticket: one alone, one twice and one who may not are refused', async () => {
  const alone = await signResolution(draft, 'cas', people.cas);
  const earnest = policyOf(false);
  assert.throws(() => verifyResolution(alone, earnest, now), code('resolution.too-few-signatures'));
  await assert.rejects(addResolutionSignature(alone, 'cas', people.cas), code('resolution.signer-twice'));
  const outsider = await addResolutionSignature(alone, 'lin', people.lin);
  assert.throws(() => verifyResolution(outsider, earnest, now), code('resolution.signer-forbidden'));
  const forged = await addResolutionSignature(alone, 'cleo', people.lin);
  assert.throws(() => verifyResolution(forged, earnest, now), code('resolution.signature-invalid'));
  const both = await addResolutionSignature(alone, 'paul', people.paul);
  assert.deepEqual(
    verifyResolution(both, earnest, now).signatures.map(({ signer }) => signer),
    ['cas', 'paul'],
  );
  // A second signature makes no other decision of it: it is carried out once.
  assert.equal(parseResolution(both).sha256, parseResolution(alone).sha256);
  assert.throws(() => verifyResolution(both, earnest, new Date('2026-03-02T09:00:00Z')), code('resolution.not-now'));
  assert.ok(verifyResolution(alone, policyOf(true), now), 'in a demonstration one is enough');
});
