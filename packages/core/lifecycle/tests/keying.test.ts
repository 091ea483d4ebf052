import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, KeysteadError } from '../../errors/index.ts';
import {
  checkPolicy,
  cryptoperiodOf,
  custodyOf,
  KEY_PURPOSE_IDS,
  keyPurpose,
  type Policy,
  profileOf,
  purposeOfProfile,
  VALIDITY_CEILINGS,
} from '../index.ts';
import { PolicyParties } from './policy-parties.ts';

const parties = new PolicyParties();
const policy = (): Policy => structuredClone(parties.policy().policy);
const at = (list: 'cryptoperiods' | 'custody', purpose: string): string =>
  `${list}[${policy()[list].findIndex((entry) => entry.purpose === purpose)}]`;

function refused(code: ErrorCode, field: string, change: (policy: Policy) => unknown): void {
  const broken = policy();
  change(broken);
  assert.throws(
    () => checkPolicy(broken),
    (error: unknown) => {
      assert.ok(error instanceof KeysteadError, String(error));
      assert.deepEqual([error.code, error.field], [code, field], error.message);
      return true;
    },
  );
}

test('TEST-KEY-25 every kind of key has a cryptoperiod, a custody and an owner', () => {
  for (const id of KEY_PURPOSE_IDS) {
    assert.equal(cryptoperiodOf(policy(), id).purpose, id);
    assert.equal(custodyOf(policy(), id).owner, keyPurpose(id).owner);
  }
  refused('policy.purpose-missing', 'cryptoperiods', (broken) => broken.cryptoperiods.pop());
  refused('policy.purpose-missing', 'custody', (broken) => broken.custody.shift());
  refused('policy.purpose-duplicate', 'custody[1].purpose', (broken) =>
    Object.assign(broken.custody[1] ?? {}, { purpose: 'root-ca' }),
  );
});

test('every profile certifies keys of one purpose, whose ceiling is that of the profile', () => {
  for (const profile of policy().profiles) {
    const { ceiling, profiles } = keyPurpose(purposeOfProfile(profile));
    assert.ok(profiles.includes(profile.id), profile.id);
    const most = VALIDITY_CEILINGS[profile.id];
    if (most !== undefined) assert.ok(ceiling.recipient === 'none' || most <= ceiling.recipient, profile.id);
  }
  const own = { ...profileOf(policy(), 'tls-server'), id: 'mqtt-broker' };
  assert.equal(purposeOfProfile(own), 'tls-server');
});

test('TEST-KEY-25 a cryptoperiod above its ceiling, or in the wrong order, is refused', () => {
  const edit = (purpose: string, change: object) => (broken: Policy) =>
    Object.assign(broken.cryptoperiods.find((entry) => entry.purpose === purpose) ?? {}, change);
  const over = 2 * 365 * 86_400 + 1;
  refused(
    'policy.cryptoperiod-too-long',
    `${at('cryptoperiods', 'keyd-channel')}.originatorSeconds`,
    edit('keyd-channel', { originatorSeconds: over }),
  );
  refused(
    'policy.cryptoperiod-too-long',
    `${at('cryptoperiods', 'keyd-channel')}.recipientSeconds`,
    edit('keyd-channel', { recipientSeconds: 'none' }),
  );
  refused(
    'policy.cryptoperiod-order',
    `${at('cryptoperiods', 'log')}.recipientSeconds`,
    edit('log', { recipientSeconds: 60 }),
  );
  refused(
    'policy.cryptoperiod-order',
    `${at('cryptoperiods', 'session')}.warnSeconds`,
    edit('session', { warnSeconds: 86_400 }),
  );
  refused(
    'policy.cryptoperiod-too-long',
    `${at('cryptoperiods', 'tls-server')}.originatorSeconds`,
    edit('tls-server', { originatorSeconds: 'none', recipientSeconds: 'none' }),
  );
});

test('TEST-KEY-25 a certificate may not outlive the cryptoperiod of its key', () => {
  const field = (id: string) =>
    `profiles[${policy().profiles.findIndex((profile) => profile.id === id)}].validity.seconds`;
  refused('policy.validity-exceeds-cryptoperiod', field('ldevid'), (broken) =>
    Object.assign(cryptoperiodOf(broken, 'device-ldevid'), { originatorSeconds: 60 }),
  );
  refused('policy.validity-exceeds-cryptoperiod', field('operational-ca'), (broken) =>
    Object.assign(cryptoperiodOf(broken, 'operational-ca'), {
      originatorSeconds: 86_400,
      recipientSeconds: 86_400,
      warnSeconds: 0,
    }),
  );
  // keyd stops a CA by itself: its certificate may go on, for what it has signed.
  const stopped = policy();
  Object.assign(cryptoperiodOf(stopped, 'operational-ca'), { originatorSeconds: 86_400, warnSeconds: 0 });
  checkPolicy(stopped);
  refused('policy.validity-exceeds-cryptoperiod', 'revocation.ocspResponderSeconds', (broken) => {
    Object.assign(cryptoperiodOf(broken, 'ocsp-responder'), { originatorSeconds: 3600, warnSeconds: 0 });
  });
});

test('no software module has a FIPS 140 level above 1, and no place stands twice', () => {
  refused('policy.custody-conflict', `${at('custody', 'log')}.allowed`, (broken) =>
    Object.assign(custodyOf(broken, 'log'), { fips140: 3 }),
  );
  refused('policy.custody-conflict', `${at('custody', 'log')}.allowed`, (broken) =>
    Object.assign(custodyOf(broken, 'log'), { allowed: ['tpm2', 'tpm2'] }),
  );
  const hardware = policy();
  Object.assign(custodyOf(hardware, 'log'), { allowed: ['pkcs11'], fips140: 3 });
  checkPolicy(hardware);
});

test('nothing below 128 bits is issued, and a purpose that needs more gets it', () => {
  refused('policy.algorithm-too-weak', 'strengths.issuedBits', (broken) =>
    Object.assign(broken.strengths, { issuedBits: 112 }),
  );
  refused('policy.strength-too-low', 'profiles[2].keyAlgorithms', (broken) =>
    broken.strengths.purposes.push({ purpose: 'manufacturing-ca', bits: 192 }),
  );
  refused('policy.strength-too-low', 'algorithms[0]', (broken) =>
    Object.assign(broken.strengths, { acceptedBits: 192, issuedBits: 192 }),
  );
  refused('policy.malformed', 'strengths.acceptedBits', (broken) =>
    Object.assign(broken.strengths, { acceptedBits: 80 }),
  );
});

test('TEST-KEY-23 only a demonstration is changed by one approval, and a quorum can be made up', () => {
  const one = (broken: Policy) => Object.assign(broken.quorums['policy-change'], { approvals: 1 });
  refused('policy.quorum-too-small', 'quorums.policy-change.approvals', one);
  const demonstration = policy();
  one(demonstration);
  checkPolicy({ ...demonstration, demonstration: true });
  refused('policy.quorum-impossible', 'quorums.policy-change.approvals', (broken) =>
    Object.assign(broken.quorums['policy-change'], { approvals: 4 }),
  );
  refused('policy.quorum-impossible', 'quorums.restore.roles', (broken) =>
    Object.assign(broken.quorums.restore, { roles: [] }),
  );
});

test('a promise that a cached OCSP answer would break is refused', () => {
  refused('policy.promise-too-short', 'revocation.promises.backendSeconds', (broken) =>
    Object.assign(broken.revocation.promises, { backendSeconds: 60 }),
  );
});

test('a policy of before cryptoperiods is refused as what it is, with what to do', () => {
  const { cryptoperiods: _a, custody: _b, strengths: _c, quorums: _d, grace: _e, ...old } = policy();
  assert.throws(
    () => checkPolicy(old),
    (error: unknown) => {
      assert.ok(error instanceof KeysteadError && error.code === 'policy.outdated-form', String(error));
      assert.match(error.remedy ?? '', /new data directory/);
      return true;
    },
  );
});
