import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type SpkiSha256, toBase64url } from '../../bytes/index.ts';
import { generateSoftwareKey, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { demoPolicy, KEY_CHANGES, type KeyOrderDraft, type Role, signKeyOrder, verifyKeyOrder } from '../index.ts';

const NOW = new Date('2026-03-01T08:00:00.000Z');

function person(name: string, ...roles: Role[]) {
  const { pkcs8, spki } = generateSoftwareKey('P-256');
  return { name, roles, spki, signer: softwareSigner('P-256', pkcs8) };
}
const ada = person('ada', 'ca-operator');
const pol = person('pol', 'policy-administrator');
const aud = person('aud', 'auditor');
const policy = demoPolicy({ operators: [ada, pol, aud], issued: NOW });
const draft: KeyOrderDraft = {
  spkiSha256: 'ab'.repeat(32) as SpkiSha256,
  change: 'suspend',
  after: 0,
  reason: 'inquiry 17',
  at: NOW,
};
const sign = (more: Partial<KeyOrderDraft> = {}, by = ada) => signKeyOrder({ ...draft, ...more }, by.name, by.signer);

test('an order comes back as it was signed, with who signed it', async () => {
  const { order, signer } = verifyKeyOrder(await sign(), policy, NOW);
  assert.deepEqual(order, { ...draft, v: 1, at: '2026-03-01T08:00:00Z' });
  assert.equal(signer, 'ada');
});

test('a CA operator stops keys and brings none back; a policy administrator the other way; others do neither', async () => {
  for (const change of KEY_CHANGES) {
    for (const by of [ada, pol, aud]) {
      const text = await sign({ change }, by);
      if ((by === ada && change !== 'resume') || (by === pol && change === 'resume')) {
        assert.equal(verifyKeyOrder(text, policy, NOW).order.change, change);
      } else {
        assert.throws(() => verifyKeyOrder(text, policy, NOW), { code: 'key-order.signer-forbidden', field: change });
      }
    }
  }
});

test('a signature by another, over another payload, or of somebody who left the policy is refused', async () => {
  const text = await sign();
  const envelope = JSON.parse(text);
  const by = (more: object) => JSON.stringify({ ...envelope, ...more });
  const other = JSON.parse(await sign({ reason: 'another' }));
  const invalid = { code: 'key-order.signature-invalid' };
  assert.throws(() => verifyKeyOrder(by({ payload: other.payload }), policy, NOW), invalid);
  const forged = await signKeyOrder(draft, 'ada', aud.signer);
  assert.throws(() => verifyKeyOrder(forged, policy, NOW), invalid);
  assert.throws(() => verifyKeyOrder(by({ signer: 'eve' }), policy, NOW), { code: 'key-order.signer-forbidden' });
});

test('an order is good for an hour, and not from the future', async () => {
  const text = await sign();
  const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);
  verifyKeyOrder(text, policy, later(3600));
  verifyKeyOrder(text, policy, later(-120));
  for (const seconds of [3601, -121]) {
    assert.throws(() => verifyKeyOrder(text, policy, later(seconds)), { code: 'key-order.stale', field: 'at' });
  }
});

test('an order in another encoding, with a member more or less, or of a wrong form is malformed', async () => {
  const envelope = JSON.parse(await sign());
  const payload = JSON.parse(Buffer.from(envelope.payload, 'base64url').toString());
  const withPayload = (text: string) => JSON.stringify({ ...envelope, payload: toBase64url(Buffer.from(text)) });
  const BAD = [
    withPayload(JSON.stringify(payload, null, 1)),
    withPayload(JSON.stringify({ ...payload, more: 1 })),
    withPayload(JSON.stringify({ ...payload, change: 'destroy' })),
    withPayload(JSON.stringify({ ...payload, after: -1 })),
    withPayload(JSON.stringify({ ...payload, reason: '' })),
    withPayload('{'),
    JSON.stringify({ ...envelope, payload: `${envelope.payload}=` }),
    JSON.stringify({ ...envelope, extra: true }),
    '',
    'null',
  ];
  for (const text of BAD) assert.throws(() => verifyKeyOrder(text, policy, NOW), { code: 'key-order.malformed' }, text);
});

test('whatever is handed over as an order, it is refused by name', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc
          .record({ payload: fc.string(), signer: fc.constant('ada'), signature: fc.string() })
          .map((one) => JSON.stringify(one)),
      ),
      (text) => {
        try {
          verifyKeyOrder(text, policy, NOW);
          assert.fail('it was accepted');
        } catch (error) {
          assert.ok(error instanceof KeysteadError && error.code === 'key-order.malformed', String(error));
        }
      },
    ),
  );
});
