import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import {
  checkPolicy,
  DEMO_TRUST,
  demoPolicy,
  formatPolicy,
  type Policy,
  parseTrustStatement,
  policyDifferences,
  policyDocument,
  policyFile,
  renderMarkdown,
  signTrustStatement,
  type TrustOrder,
} from '../index.ts';

const { pkcs8, spki } = generateSoftwareKey('P-256');
const signer = softwareSigner('P-256', pkcs8);
const operators = [
  { name: 'ca', roles: ['ca-operator'], spki },
  { name: 'amy', roles: ['approver'], spki: generateSoftwareKey('P-256').spki },
  { name: 'ben', roles: ['approver'], spki: generateSoftwareKey('P-256').spki },
  { name: 'pol', roles: ['policy-administrator'], spki: generateSoftwareKey('P-256').spki },
] as const;
const policyWith = (trust: Partial<NonNullable<Policy['trust']>> = {}): Policy =>
  demoPolicy({ issued: new Date('2026-03-01T08:00:00Z'), operators, trust: { ...DEMO_TRUST, ...trust } });

const hash = (index: number): string => index.toString(16).padStart(64, '0');
const order = (pins: TrustOrder['content']['pins'] = []): TrustOrder => ({
  ...{ id: 'one', fleet: 'demo', change: 1, strand: false, reason: 'a test' },
  content: { anchors: [], pins, signers: [], firmware: [] },
});
const statement = (of: TrustOrder): Promise<string> => {
  const times = { signedAt: '2026-03-01T08:00:00Z', expiresAt: '2026-03-01T09:00:00Z' };
  return signTrustStatement({ act: 'propose', order: of, proposer: 'ca', role: 'ca-operator', ...times }, 'ca', signer);
};

test('an order that fills a bundle of 16 pinned names is signed and read as it was', async () => {
  const keys = Array.from({ length: 8 }, (_, index) => ({
    ...{ spkiSha256: hash(index), use: 'backup' as const, from: 1_700_000_000, until: 1_800_000_000 },
  }));
  const large = order(Array.from({ length: 16 }, (_, index) => ({ role: `server-${index}`, keys })));
  assert.deepEqual(parseTrustStatement(await statement(large)).content.order, large);
});

test('what is no order is refused before anybody signs it, with the field', async () => {
  const bad: readonly [string, object][] = [
    ['order.change', { change: 0 }],
    ['order.reason', { reason: '' }],
    ['order.fleet', { fleet: 'No Fleet' }],
    ['order.content.pins[0].role', { content: { ...order().content, pins: [{ role: '', keys: [] }] } }],
    ['order', { version: 7 }],
  ];
  for (const [field, more] of bad) {
    await assert.rejects(statement({ ...order(), ...more } as TrustOrder), (error: unknown) => {
      assert.ok(error instanceof KeysteadError && error.code === 'trust-order.malformed');
      assert.ok(error.field?.startsWith(field), error.field);
      return true;
    });
  }
});

test('a statement that is changed in any place, or that is anything else, is refused with its own error', async () => {
  const text = await statement(order());
  const changes = fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 }));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), changes), (input) => {
      const tried =
        typeof input === 'string'
          ? input
          : `${text.slice(0, input[0])}${String.fromCharCode(input[1])}${text.slice(input[0] + 1)}`;
      try {
        parseTrustStatement(tried);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.code === 'trust-order.malformed', String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('TEST-KEY-25 a policy whose bundles nobody could order, or whose keys are not told apart, is refused', () => {
  const refused = (trust: Partial<NonNullable<Policy['trust']>>, code: string, demonstration = true): void => {
    const policy = { ...policyWith(), demonstration, trust: { ...DEMO_TRUST, ...trust } };
    assert.throws(() => checkPolicy(policy), { code });
  };
  const [key] = DEMO_TRUST.keys;
  assert.ok(key && DEMO_TRUST.filter);
  refused({ keys: [key, key] }, 'policy.trust-rule');
  refused({ filter: { ...DEMO_TRUST.filter, everySeconds: DEMO_TRUST.filter.seconds } }, 'policy.trust-rule');
  refused({ roles: ['custodian'] }, 'policy.quorum-impossible');
  refused({ strand: { approvals: 1, roles: ['approver'] } }, 'policy.quorum-too-small');
  refused({ fleet: 'No Fleet' }, 'policy.malformed');
  const { custody, ...rest } = policyWith();
  const without = { ...rest, custody: custody.filter(({ purpose }) => purpose !== 'trust-bundle-signer') };
  assert.throws(() => checkPolicy(without), { code: 'policy.purpose-missing' });
});

test('TEST-KEY-25 the document of the policy has the section, and the differences name what changes for devices', () => {
  const [before, after] = [
    policyWith(),
    policyWith({ fleet: 'other', approvals: 2, strand: undefined, keys: [{ id: 'b', algorithm: 'P-256' }] }),
  ];
  const text = renderMarkdown(policyDocument(policyFile(Buffer.from(formatPolicy(before))), []));
  assert.match(text, /Trust bundles[\s\S]*Revocation filter of[^\n]*operational, server/);
  const live = { now: new Date(), certificates: [], tickets: [], late: [], authorities: [] };
  const told = policyDifferences(before, { ...after, version: 2 }, live).map(
    ({ severity, field }) => `${severity} ${field}`,
  );
  for (const one of ['breaks trust.fleet', 'breaks trust.keys.first', 'notes trust.keys.b', 'notes trust.approvals'])
    assert.ok(told.includes(one), `${one} in ${told.join('; ')}`);
  const { trust: _trust, ...none } = before;
  const ended = policyDifferences(before, { ...none, version: 2 } as Policy, live);
  assert.ok(ended.some(({ severity, field }) => severity === 'breaks' && field === 'trust'));
});
