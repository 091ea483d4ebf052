import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  checkPolicy,
  cryptoperiodOf,
  type LiveInventory,
  type Policy,
  policyDifferences,
  profileOf,
} from '../index.ts';
import { PolicyParties, successor } from './policy-parties.ts';

const parties = new PolicyParties();
const current = parties.policy();
const now = new Date('2026-03-02T10:00:00Z');
const before = (ms: number): Date => new Date(now.getTime() - ms);
const live: LiveInventory = {
  now,
  certificates: [
    ...['KS-1', 'KS-2', 'KS-3'].map((owner) => ({
      profile: 'ldevid',
      owner,
      keyAlgorithm: owner === 'KS-3' ? ('RSA-3072' as const) : ('P-256' as const),
      issuedAt: before(10_000),
      notAfter: new Date(now.getTime() + 80_000),
    })),
  ],
  tickets: [
    {
      id: 'batch-7',
      signers: ['olga'],
      quota: 50,
      notBefore: '2026-03-01T00:00:00Z',
      notAfter: '2026-03-31T00:00:00Z',
    },
  ],
  late: [{ deviceId: 'KS-9', endedAt: before(20 * 86_400_000) }],
  authorities: [{ purpose: 'operational-ca', since: before(86_400_000) }],
};

/** What a change says, worst first, as `severity field: text`. */
function said(change: (policy: Policy) => void, inventory: LiveInventory | 'none' = live, from = current): string[] {
  const { policy } = successor(from, change);
  return policyDifferences(from.policy, policy, inventory === 'none' ? undefined : inventory)
    .filter(({ field }) => field !== 'version')
    .map(({ severity, field, text }) => `${severity} ${field}: ${text}`);
}

test('a shorter life of LDevIDs names the devices that would go on with older certificates', () => {
  const shorter = (seconds: number) =>
    said((policy) => void Object.assign(profileOf(policy, 'ldevid').validity, { seconds }));
  assert.deepEqual(shorter(30), [
    'breaks profiles.ldevid.validity.seconds: ldevid lifetime down from 90 seconds to 30 seconds: below the renewal point of KS-1, KS-2, KS-3 (3 in all), who go on with a certificate that is older than that',
  ]);
  assert.deepEqual(shorter(80), [
    'warns profiles.ldevid.validity.seconds: ldevid lifetime down from 90 seconds to 80 seconds: 3 certificates that are out stay valid for longer than that',
  ]);
});

test('an operator who is removed, or gets another key, takes open tickets along', () => {
  const removed = said((policy) => {
    policy.operators = policy.operators.filter(({ name }) => name !== 'olga');
  });
  assert.deepEqual(removed, [
    'breaks operators.olga: operator olga removed: 1 open ticket was signed by olga (batch-7) and would be refused',
    'breaks operators: nobody is ca-operator any more',
  ]);
  const rekeyed = said((policy) => {
    Object.assign(policy.operators.find(({ name }) => name === 'olga') ?? {}, {
      spki: new PolicyParties().operators[0]?.spki ? 'MCowBQYDK2VwAyEA' : '',
    });
  });
  assert.match(rekeyed.join(), /^breaks operators\.olga: another key: .* 1 open ticket would be refused$/);
  assert.match(
    said((policy) => void policy.operators.push({ name: 'zoe', roles: ['approver'], spki: 'AAAA' })).join(),
    /^warns operators\.zoe: added as approver$/,
  );
});

test('an algorithm that is removed names the certificates and the people who have it', () => {
  const removed = said((policy) => {
    policy.algorithms = policy.algorithms.filter((one) => one !== 'RSA-3072');
    for (const profile of policy.profiles)
      profile.keyAlgorithms = profile.keyAlgorithms.filter((one) => one !== 'RSA-3072');
    // The RA of SCEP has no other key.
    policy.profiles = policy.profiles.filter(({ id }) => id !== 'scep-ra');
  });
  assert.match(removed[0] ?? '', /^breaks algorithms: RSA-3072 removed: 1 unexpired certificate with such a key/);
  assert.ok(
    removed.some((line) =>
      line.startsWith('breaks profiles.ldevid.keyAlgorithms: RSA-3072 removed: 1 unexpired certificate'),
    ),
  );
  const from = new PolicyParties({ aud: 'RSA-4096' }).policy();
  const remove = (policy: Policy): void => {
    policy.algorithms = policy.algorithms.filter((one) => one !== 'RSA-4096');
    const { keyAlgorithms } = profileOf(policy, 'operator');
    profileOf(policy, 'operator').keyAlgorithms = keyAlgorithms.filter((one) => one !== 'RSA-4096');
  };
  assert.deepEqual(
    said(remove, live, from)[0],
    'breaks algorithms: RSA-4096 removed: the signatures of aud would no longer be accepted',
  );
});

test('limits of tickets, grace and cryptoperiods name what is beyond them now', () => {
  assert.match(
    said((policy) => void Object.assign(policy.tickets, { maxQuota: 10 })).join(),
    /^breaks tickets\.maxQuota: .*batch-7 allow more/,
  );
  assert.match(
    said((policy) => void Object.assign(policy.tickets, { maxSeconds: 86_400 })).join(),
    /^breaks tickets\.maxSeconds: .*batch-7 are longer/,
  );
  assert.match(
    said((policy) => void Object.assign(policy.grace, { renewalSeconds: 86_400 })).join(),
    /^breaks grace\.renewalSeconds: .*KS-9 \(1 in all\) could no longer recover/,
  );
  const ended = said(
    (policy) =>
      void Object.assign(cryptoperiodOf(policy, 'operational-ca'), { originatorSeconds: 3600, warnSeconds: 60 }),
  );
  assert.match(
    ended[0] ?? '',
    /^breaks cryptoperiods\.operational-ca\.originatorSeconds: .* it would be over since 2026-03-01T11:00:00\.000Z/,
  );
  // The same without a deployment is no more than a warning.
  assert.match(said((policy) => void Object.assign(policy.tickets, { maxQuota: 10 }), 'none').join(), /^notes/);
});

test('what keyd would refuse for good is said first', () => {
  const lines = said((policy) => {
    policy.version += 1;
    policy.demonstration = true;
  });
  assert.deepEqual(
    lines.map((line) => line.split(':')[0]),
    ['breaks demonstration'],
  );
  const far = policyDifferences(current.policy, successor(successor(current)).policy);
  assert.deepEqual(
    far.map(({ severity, field }) => `${severity} ${field}`),
    ['breaks version'],
  );
});

test('a quorum that is made smaller is said, and one that nobody can make up', () => {
  const smaller = said((policy) => void Object.assign(policy.quorums.restore, { approvals: 1 }));
  assert.deepEqual(smaller, [
    'warns quorums.restore.approvals: restoring a backup needs 1 instead of 2: fewer people can do it together',
  ]);
  assert.match(
    said((policy) => void Object.assign(policy.quorums.restore, { approvals: 3 })).join(),
    /breaks quorums\.restore: .* would need 3, and 1 operator may/,
  );
});

test('two policies that say the same have no difference', () => {
  assert.deepEqual(policyDifferences(current.policy, structuredClone(current.policy), live), []);
});

/** Every leaf of a policy, as a path. */
function leaves(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, member]) =>
    leaves(member, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

test('whatever number, word or flag of a policy is changed, the difference is said', () => {
  const paths = leaves(current.policy);
  let valid = 0;
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.boolean(), (path, up) => {
      const changed: unknown = structuredClone(current.policy);
      let at = changed as Record<string | number, unknown>;
      for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>;
      const last = path.at(-1) ?? '';
      const old = at[last];
      at[last] =
        typeof old === 'number'
          ? old + (up || old === 0 ? 1 : -1)
          : typeof old === 'boolean'
            ? !old
            : `${String(old)}A`;
      let policy: Policy;
      try {
        policy = checkPolicy(path[0] === 'version' ? changed : { ...(changed as Policy), version: 2 });
      } catch {
        return;
      }
      valid += 1;
      const said = policyDifferences(current.policy, policy, live);
      assert.ok(
        said.some(({ field }) => (field === 'version') === (path[0] === 'version')),
        path.join('.'),
      );
    }),
    { numRuns: 400 },
  );
  assert.ok(valid > 50, `${valid} changes made a policy`);
});

test('the limits of authorisations and the custodians of backups are told, and what becomes of those of before', () => {
  assert.deepEqual(
    said((policy) => {
      policy.authorisations = { maxUses: 100, maxSeconds: 86_400 };
    }),
    [
      'warns authorisations.maxUses: keys of one authorisation from 10000 to 100: those that allow more are refused from then on',
      'warns authorisations.maxSeconds: time of an authorisation down from 366 days to 1 day: those that allow more are refused from then on',
    ],
  );
});
