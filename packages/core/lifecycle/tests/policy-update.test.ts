import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, KeysteadError } from '../../errors/index.ts';
import {
  formatStatements,
  type PolicyFile,
  parseStatements,
  profileOf,
  type SignedStatement,
  statementBytes,
  verifyStatement,
  verifyUpdate,
} from '../index.ts';
import { PolicyParties, seconds, successor } from './policy-parties.ts';

const AT = new Date('2026-03-02T10:00:00Z');
const parties = new PolicyParties({ axel: 'Ed25519', pia: 'RSA-3072' });
const current = parties.policy();
const next = successor(current, (policy) => {
  policy.tickets.maxQuota = 7;
});
const step = [current, next] as const;
const propose = (
  ...more: Parameters<typeof parties.statement> extends [unknown, unknown, unknown, unknown, ...infer Rest]
    ? Rest
    : never
) => parties.statement('propose', 'paul', step, AT, ...more);
const approve = (name: 'anna' | 'axel' | 'pia' | 'paul' | 'olga' | 'lin', more = {}) =>
  parties.statement('approve', name, step, AT, more);

/** Expects a refusal with this code, and that it names a field. */
function refused(
  code: ErrorCode,
  statements: readonly SignedStatement[] | string,
  [from, to] = step,
  at = AT,
): KeysteadError {
  let seen: KeysteadError | undefined;
  assert.throws(
    () => verifyUpdate(from, to, typeof statements === 'string' ? statements : formatStatements(statements), at),
    (error: unknown) => {
      assert.ok(error instanceof KeysteadError, String(error));
      assert.equal(error.code, code, error.message);
      assert.notEqual(error.field, undefined);
      seen = error;
      return true;
    },
  );
  assert.ok(seen !== undefined);
  return seen;
}

test('TEST-KEY-23 a policy that one proposed and two others approved may follow the one in force, with any kind of key', async () => {
  const text = await parties.approvals(step, AT, ['axel', 'pia']);
  assert.deepEqual(verifyUpdate(current, next, text, AT), {
    proposer: 'paul',
    approvers: [
      { name: 'axel', role: 'approver', signedAt: '2026-03-02T10:00:00Z' },
      { name: 'pia', role: 'policy-administrator', signedAt: '2026-03-02T10:00:00Z' },
    ],
  });
});

test('TEST-KEY-23 too few approvals, none, and a missing proposal are each refused by name', async () => {
  refused('approval.too-few', [await propose(), await approve('anna')]);
  refused('approval.too-few', [await propose()]);
  refused('approval.proposal-missing', []);
  refused('approval.proposal-missing', [await approve('anna'), await approve('axel')]);
});

test('TEST-KEY-23 the same person twice, and nobody for themselves', async () => {
  const anna = await approve('anna');
  refused('approval.duplicate', [await propose(), anna, anna]);
  refused('approval.duplicate', [await propose(), anna, await approve('anna', { signedAt: '2026-03-02T09:00:00Z' })]);
  refused('approval.duplicate', [await propose(), await propose(), anna]);
  refused('approval.self', [await propose(), anna, await approve('paul')]);
});

test('TEST-KEY-23 one who calls another the proposer does not approve what they asked for', async () => {
  // pia wrote it, says that paul did, and approves: paul never signed that he asks.
  refused('approval.signature-invalid', [
    await propose({}, parties.signer('pia')),
    await approve('pia'),
    await approve('anna'),
  ]);
  refused('approval.proposer-differs', [
    await propose(),
    await approve('anna', { proposer: 'pia' }),
    await approve('axel'),
  ]);
  const pia = await parties.statement('propose', 'pia', step, AT, { proposer: 'paul' });
  refused('approval.proposer-differs', [pia, await approve('anna'), await approve('axel')]);
});

test('TEST-KEY-23 one key under two names signs once', async () => {
  const doubled = structuredClone(current);
  const spki = doubled.policy.operators.find(({ name }) => name === 'anna')?.spki ?? '';
  Object.assign(doubled.policy.operators.find(({ name }) => name === 'axel') ?? {}, { spki });
  const axel = await parties.statement('approve', 'axel', step, AT, {}, parties.signer('anna'));
  refused('approval.duplicate', [await propose(), await approve('anna'), axel], [doubled, next]);
});

test('TEST-KEY-23 a signer who is not in the policy in force is refused, though the new policy names them', async () => {
  const { policy } = current;
  const before = {
    ...current,
    policy: { ...policy, operators: policy.operators.filter(({ name }) => name !== 'axel') },
  };
  const error = refused('approval.signer-unknown', await parties.approvals(step, AT), [before, next]);
  assert.equal(error.seen, 'axel');
});

test('TEST-KEY-23 a role that may not, and a role that the signer has not, are refused', async () => {
  refused('approval.signer-forbidden', [await propose(), await approve('olga'), await approve('anna')]);
  refused('approval.signer-forbidden', [
    await propose(),
    await approve('lin', { role: 'approver' }),
    await approve('anna'),
  ]);
  const anna = await parties.statement('propose', 'anna', step, AT, { proposer: 'anna' });
  refused('approval.signer-forbidden', [anna]);
});

test('TEST-KEY-23 an expired signature is refused, also in its very last second, and one from the future', async () => {
  const anna = await approve('anna', { signedAt: '2026-03-01T10:00:00Z', expiresAt: '2026-03-02T10:00:00Z' });
  const error = refused('approval.expired', [await propose(), anna, await approve('axel')]);
  assert.match(error.seen ?? '', /2026-03-02T10:00:00Z by anna/);
  const fresh = await approve('anna', { signedAt: '2026-03-01T10:00:00Z', expiresAt: '2026-03-02T10:00:01Z' });
  verifyUpdate(current, next, formatStatements([await propose(), fresh, await approve('axel')]), AT);
  refused('approval.expired', await parties.approvals(step, AT), step, new Date('2026-03-03T10:00:00Z'));
  const ahead = { signedAt: seconds(AT.getTime() + 61_000), expiresAt: seconds(AT.getTime() + 90_000) };
  refused('approval.not-yet-valid', [await propose(), await approve('anna', ahead), await approve('axel')]);
  refused('approval.too-long', [await propose({ expiresAt: '2026-06-02T10:00:00Z' })]);
});

test('TEST-KEY-23 a signature over another policy, or for another step, is refused', async () => {
  const other = successor(current, (policy) => {
    policy.tickets.maxQuota = 8;
  });
  const error = refused('approval.other-policy', await parties.approvals([current, other], AT));
  assert.equal(error.field, 'statements[0].policySha256');
  refused('approval.other-policy', await parties.approvals([other, next], AT));
  refused('approval.other-policy', [await propose(), await approve('anna', { version: 3 }), await approve('axel')]);
});

test('TEST-KEY-23 a version that goes back, stays or skips is refused', async () => {
  for (const [version, code] of [
    [1, 'policy.version-used'],
    [2, 'policy.version-used'],
    [4, 'policy.version-skips'],
  ] as const) {
    const to = successor(next, (policy) => {
      policy.version = version;
    });
    refused(code, await parties.approvals([next, to], AT), [next, to]);
  }
});

test('TEST-KEY-23 any changed byte of payload or signature is caught', async () => {
  const anna = await approve('anna');
  const axel = await approve('axel');
  for (const part of ['payload', 'signature'] as const) {
    for (let at = 0; at < axel[part].length; at += 7) {
      const bytes = Uint8Array.from(axel[part]);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      const text = formatStatements([await propose(), anna, { ...axel, [part]: bytes }]);
      assert.throws(
        () => verifyUpdate(current, next, text, AT),
        (error: unknown) => error instanceof KeysteadError && error.code.startsWith('approval.'),
      );
    }
  }
});

test('a ticket signature is no statement: the signed bytes begin with what they are', async () => {
  const { payload, statement } = await approve('anna');
  const bare = await parties.signer('anna').sign(payload);
  assert.throws(() => verifyStatement({ statement, payload, signature: bare }, current.policy), {
    code: 'approval.signature-invalid',
  });
  assert.match(
    Buffer.from(statementBytes(payload)).toString('latin1'),
    /^keystead policy statement v1\n\{"act":"approve"/,
  );
});

test('what only a ceremony can change is refused by its field, whoever signed it', async () => {
  const changes: readonly (readonly [field: string, change: (file: PolicyFile['policy']) => void])[] = [
    ['demonstration', (policy) => Object.assign(policy, { demonstration: true })],
    ['profiles[3]', (policy) => Object.assign(profileOf(policy, 'operational-ca').validity, { seconds: 86_400 * 365 })],
    ['profiles[11]', (policy) => Object.assign(profileOf(policy, 'evidence-signer').validity, { seconds: 86_400 })],
  ];
  for (const [field, change] of changes) {
    const to = successor(current, change);
    const error = refused('policy.only-ceremony', await parties.approvals([current, to], AT), [current, to]);
    assert.equal(error.field, field);
  }
});

test('a statement has one encoding; whatever else is read as approvals is refused by name', async () => {
  const file = await parties.approvals(step, AT);
  const [first] = parseStatements(file);
  assert.ok(first !== undefined);
  const spaced = Buffer.from(JSON.stringify(first.statement, null, 1));
  assert.throws(() => parseStatements(formatStatements([{ ...first, payload: spaced }])), {
    code: 'approval.malformed',
    field: 'statements[0].payload',
  });
  for (const text of [
    '',
    '[]',
    '{"v":2,"statements":[]}',
    '{"v":1,"statements":[{}]}',
    '{"v":1,"statements":[{"payload":"%","signature":""}]}',
  ]) {
    assert.throws(() => parseStatements(text), { code: 'approval.malformed' }, text);
  }
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.string({ maxLength: 3 }), (place, put) => {
      try {
        parseStatements(file.slice(0, place) + put + file.slice(place + 1));
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.code === 'approval.malformed', String(error));
      }
    }),
    { numRuns: 400 },
  );
});
