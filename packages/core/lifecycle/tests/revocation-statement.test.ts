import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Serial } from '../../bytes/index.ts';
import { generateSoftwareKey, type Signer, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  checkPolicy,
  type DemoPolicyOptions,
  demoPolicy,
  type GIVEN_REASONS,
  type Policy,
  parseRevocationStatement,
  REVOCATION_SELECTORS,
  type RevocationStatement,
  type Role,
  requireAgreed,
  requireInvalidityDate,
  requireRevocationKind,
  revocationListSha256,
  revocationQuorum,
  signRevocationStatement,
  verifyRevocationStatements,
} from '../index.ts';

const NOW = new Date('2026-05-01T12:00:00Z');
const ROLES: Readonly<Record<string, Role>> = {
  ada: 'ca-operator',
  bob: 'ca-operator',
  pol: 'policy-administrator',
  app: 'approver',
  lin: 'line-operator',
};
const people = new Map<string, { signer: Signer; spki: Uint8Array }>();
for (const name of Object.keys(ROLES)) {
  const { pkcs8, spki } = generateSoftwareKey('P-256');
  people.set(name, { signer: softwareSigner('P-256', pkcs8), spki });
}
const operators = [...people].map(([name, { spki }]) => ({ name, roles: [ROLES[name] ?? 'auditor'], spki }));
const policyOf = (authority?: NonNullable<Policy['revocation']['authority']>): Policy =>
  demoPolicy({ operators, issued: NOW, revocation: authority === undefined ? {} : { authority } } as DemoPolicyOptions);
const two = policyOf([
  { selectors: ['device'], approvals: 2, roles: ['approver', 'policy-administrator', 'ca-operator'] },
]);

const LIST = [
  { issuer: 'operational', serial: '0a' as Serial },
  { issuer: 'manufacturing', serial: '0b' as Serial },
];
const order: RevocationStatement['order'] = {
  id: 'order-1',
  act: 'revoke',
  selector: { kind: 'device', deviceId: 'KS-0001' },
  reason: 'keyCompromise',
  count: LIST.length,
  listSha256: revocationListSha256(LIST),
};
const time = (seconds: number): string => `${new Date(NOW.getTime() + seconds * 1000).toISOString().slice(0, 19)}Z`;

function signed(name: string, more: Partial<RevocationStatement> = {}, as = name): Promise<string> {
  const draft = {
    ...{ act: 'approve' as const, order, proposer: 'ada', role: ROLES[name] ?? 'auditor' },
    ...{ signedAt: time(0), expiresAt: time(3600), ...more },
  };
  const key = people.get(name);
  assert.ok(key);
  return signRevocationStatement(draft, as, key.signer);
}
const proposal = await signed('ada', { act: 'propose' });

async function code(texts: (string | Promise<string>)[], policy = two): Promise<string> {
  const statements = await Promise.all(texts);
  try {
    requireAgreed(verifyRevocationStatements(statements, policy, NOW));
  } catch (error) {
    if (error instanceof KeysteadError) return error.code.replace('revocation-request.', '');
    throw error;
  }
  return 'agreed';
}

test('TEST-KEY-23 forged, replayed, expired, self and duplicate approvals of a revocation all fail; the quorum of others agrees', async () => {
  assert.equal(await code([proposal]), 'too-few');
  assert.equal(await code([proposal, signed('app')]), 'too-few');
  assert.equal(await code([proposal, signed('app'), signed('pol')]), 'agreed');
  assert.equal(await code([proposal, signed('app'), signed('app')]), 'duplicate');
  assert.equal(await code([proposal, signed('ada'), signed('app')]), 'self');
  assert.equal(await code([proposal, signed('app', {}, 'pol'), signed('app')]), 'signature-invalid');
  assert.equal(await code([proposal, signed('app', {}, 'eve')]), 'signer-unknown');
  assert.equal(await code([proposal, signed('lin')]), 'signer-forbidden');
  assert.equal(await code([proposal, signed('app', { role: 'policy-administrator' })]), 'signer-forbidden');
  assert.equal(await code([signed('app', { act: 'propose', proposer: 'app' })]), 'signer-forbidden');
  assert.equal(await code([proposal, signed('app', { order: { ...order, id: 'order-2' } })]), 'other-order');
  assert.equal(await code([proposal, signed('app', { order: { ...order, count: 3 } })]), 'other-order');
  assert.equal(await code([proposal, signed('app', { proposer: 'bob' })]), 'other-order');
  assert.equal(await code([proposal, signed('app', { signedAt: time(-7200), expiresAt: time(-1) })]), 'expired');
  assert.equal(await code([proposal, signed('app', { signedAt: time(120), expiresAt: time(240) })]), 'not-yet-valid');
  assert.equal(await code([proposal, signed('app', { expiresAt: time(31 * 86_400) })]), 'too-long');
  assert.equal(await code([proposal, signed('app', { expiresAt: time(0), signedAt: time(0) })]), 'expired');
  assert.equal(await code([signed('app'), proposal]), 'malformed');
  assert.equal(await code([]), 'malformed');
});

test('a person who left the policy approves nothing, though they signed while they were in it', async () => {
  const approvals = [proposal, signed('app'), signed('pol')];
  const without = checkPolicy({ ...two, operators: two.operators.filter(({ name }) => name !== 'app') });
  assert.equal(await code(approvals, without), 'signer-unknown');
});

test('a statement has one encoding, and no other kind of document by the same key is one', async () => {
  const { payload, ...rest } = JSON.parse(proposal) as { payload: string };
  const text = Buffer.from(payload, 'base64url').toString('utf8');
  const spaced = Buffer.from(JSON.stringify(JSON.parse(text), null, 1)).toString('base64url');
  assert.equal(await code([JSON.stringify({ ...rest, payload: spaced })]), 'malformed');
  assert.equal(await code([JSON.stringify({ ...rest, payload, more: 1 })]), 'malformed');
});

test('any text at all is a statement or refused as malformed, and nothing else', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.nat(proposal.length - 1)), (input) => {
      const text = typeof input === 'number' ? `${proposal.slice(0, input)}x${proposal.slice(input + 1)}` : input;
      try {
        parseRevocationStatement(text);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.code === 'revocation-request.malformed', String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('the hash of a list is the same in any order, and another for any other list', () => {
  assert.equal(revocationListSha256([...LIST].reverse()), order.listSha256);
  assert.notEqual(revocationListSha256(LIST.slice(1)), order.listSha256);
  assert.notEqual(
    revocationListSha256([{ issuer: 'server', serial: '0a' as Serial }, LIST[1] ?? assert.fail()]),
    order.listSha256,
  );
});

test('the default: one CA operator for certificate, key and device; the quorum of the policy for batch and CA, but for a demonstration', () => {
  const many = ['u1', 'u2'].map((name) => {
    const { pkcs8, spki } = generateSoftwareKey('P-256');
    pkcs8.wipe();
    return { name, roles: ['approver'] as Role[], spki };
  });
  const earnest = demoPolicy({ operators: [...operators, ...many], issued: NOW, demonstration: false });
  const approvals = (policy: Policy) =>
    REVOCATION_SELECTORS.map(
      (selector) => revocationQuorum(policy, { selector, act: 'revoke', reason: 'superseded' }).approvals,
    );
  assert.deepEqual(approvals(earnest), [0, 0, 0, 2, 2]);
  assert.deepEqual(approvals(policyOf()), [0, 0, 0, 0, 0]);
  const rules = policyOf([
    { selectors: ['certificate'], acts: ['release'], approvals: 1, roles: ['approver'] },
    {
      selectors: ['certificate', 'ca'],
      reasons: ['keyCompromise', 'cACompromise'],
      approvals: 2,
      roles: ['approver', 'ca-operator', 'policy-administrator'],
    },
  ]);
  assert.equal(revocationQuorum(rules, { selector: 'certificate', act: 'release' }).approvals, 1);
  assert.equal(revocationQuorum(rules, { selector: 'certificate', act: 'hold' }).approvals, 0);
  assert.equal(
    revocationQuorum(rules, { selector: 'certificate', act: 'revoke', reason: 'keyCompromise' }).approvals,
    2,
  );
  assert.equal(revocationQuorum(rules, { selector: 'certificate', act: 'revoke', reason: 'superseded' }).approvals, 0);
});

test('a policy that asks for more people than there are is refused with its field', () => {
  assert.throws(() => policyOf([{ selectors: ['ca'], approvals: 2, roles: ['approver'] }]), {
    code: 'policy.quorum-impossible',
    field: 'revocation.authority[0].approvals',
  });
});

test('reasons: cACompromise is for a CA alone, a holder gives none that is not its own to say, a hold has none', () => {
  const refusal = (run: () => void): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof KeysteadError) return error.code;
    }
    return 'allowed';
  };
  const given = (reason: (typeof GIVEN_REASONS)[number], party: 'operator' | 'holder') =>
    REVOCATION_SELECTORS.filter(
      (selector) => refusal(() => requireRevocationKind({ selector, act: 'revoke', reason }, party)) === 'allowed',
    );
  assert.deepEqual(given('cACompromise', 'operator'), ['ca']);
  assert.deepEqual(given('keyCompromise', 'operator'), ['certificate', 'key', 'device', 'batch']);
  assert.deepEqual(given('keyCompromise', 'holder'), ['certificate', 'key']);
  assert.deepEqual(given('privilegeWithdrawn', 'holder'), []);
  const hold = (selector: 'device' | 'batch' | 'ca', party: 'operator' | 'holder' = 'operator') =>
    refusal(() => requireRevocationKind({ selector, act: 'hold' }, party));
  assert.deepEqual(
    [hold('device'), hold('batch'), hold('ca')],
    ['allowed', 'revocation.hold-forbidden', 'revocation.hold-forbidden'],
  );
  assert.equal(hold('device', 'holder'), 'revocation.hold-forbidden');
  const reasoned = { selector: 'device', act: 'hold', reason: 'superseded' } as const;
  assert.equal(
    refusal(() => requireRevocationKind(reasoned, 'operator')),
    'revocation.reason-forbidden',
  );
});

test('an invalidity date is not in the future, nor before there was anything', () => {
  for (const at of ['2026-05-01T12:00:01Z', '2019-12-31T00:00:00Z', 'no time']) {
    assert.throws(() => requireInvalidityDate(new Date(at), NOW), { code: 'revocation.invalidity-date' });
  }
  requireInvalidityDate(NOW, NOW);
  requireInvalidityDate(undefined, NOW);
});
