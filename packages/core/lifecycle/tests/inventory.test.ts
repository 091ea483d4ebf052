import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../clock.ts';
import {
  attentionOf,
  cryptoperiodOf,
  demoPolicy,
  generatedKey,
  isInAllowedCustody,
  type KeyPurposeId,
  type KeyRecord,
  type KeyStanding,
  stepKey,
  usagePeriods,
  usesAt,
} from '../index.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;
const START = new Date('2026-03-01T08:00:00.000Z');
const policy = demoPolicy({
  operators: [],
  issued: START,
  cryptoperiods: {
    'operational-ca': { originatorSeconds: 5 * YEAR, recipientSeconds: 10 * YEAR, warnSeconds: 180 * DAY },
  },
});

function recordOf(purpose: KeyPurposeId, more: Partial<KeyRecord> = {}, standing?: KeyStanding): KeyRecord {
  const at = START.getTime();
  const active = stepKey(generatedKey(at), { event: 'activate', at });
  return {
    id: 'k',
    spkiSha256: null,
    purpose,
    algorithm: 'P-256',
    strengthBits: 128,
    custody: 'sealed-file',
    fips140: 'none',
    owner: 'system:keyd',
    ...(standing ?? active),
    ...usagePeriods(cryptoperiodOf(policy, purpose), at, at + 10 * YEAR * 1000),
    successor: null,
    evidence: {},
    ...more,
  };
}

/** Half a year at a time, what a key may do and asks for. */
function years(record: KeyRecord, count: number): string[] {
  const clock = new SimulatedClock(START);
  const told: string[] = [];
  for (let half = 0; half <= count * 2; half += 1) {
    const { state, protect, process } = usesAt(record, clock.now());
    const { level } = attentionOf(record, policy, clock.now());
    told.push([state, protect.allowed ? 'protects' : '-', process.allowed ? 'processes' : '-', level].join(' '));
    clock.advance(YEAR / 2);
  }
  return told;
}

test('TEST-KEY-25 over 20 years a CA key issues in its originator usage period, answers in that of the recipient, and then does nothing', () => {
  const told = years(recordOf('operational-ca'), 20);
  assert.deepEqual(told.slice(0, 9), Array(9).fill('active protects processes none'));
  // 4.5 years: within 180 days of the end it is warned of.
  assert.deepEqual(told.slice(9, 10), ['active protects processes none']);
  assert.deepEqual(told.slice(10, 20), Array(10).fill('deactivated - processes overdue'));
  assert.deepEqual(told.slice(20), Array(21).fill('deactivated - - overdue'));
  const shortly = new Date(START.getTime() + (5 * YEAR - 179 * DAY) * 1000);
  assert.equal(attentionOf(recordOf('operational-ca'), policy, shortly).level, 'due');
});

test('TEST-KEY-25 another cryptoperiod in the policy is another end of the key', () => {
  const longer = demoPolicy({ operators: [], issued: START });
  const at = START.getTime();
  const { originatorEnd } = usagePeriods(cryptoperiodOf(longer, 'operational-ca'), at);
  assert.equal(originatorEnd, at + 10 * YEAR * 1000);
  assert.equal(recordOf('operational-ca').originatorEnd, at + 5 * YEAR * 1000);
});

test('a key protects no longer than its certificate; what signed evidence is verified for longer', () => {
  const at = START.getTime();
  const end = at + 1000;
  const ca = usagePeriods(cryptoperiodOf(policy, 'server-ca'), at, end);
  assert.deepEqual(ca, { originatorEnd: end, recipientEnd: end });
  const evidence = usagePeriods(cryptoperiodOf(policy, 'evidence-signer'), at, end);
  assert.deepEqual(evidence, { originatorEnd: end, recipientEnd: at + 30 * YEAR * 1000 });
});

test('an IDevID has no end, and its certificate that says 99991231235959Z gives it none', () => {
  const at = START.getTime();
  const forever = usagePeriods(cryptoperiodOf(policy, 'device-idevid'), at, Date.UTC(9999, 11, 31, 23, 59, 59));
  assert.deepEqual(forever, { originatorEnd: null, recipientEnd: null });
  assert.equal(usesAt(recordOf('device-idevid', forever), new Date('2126-01-01')).protect.why, 'without an end');
});

const at = START.getTime();
const active = stepKey(generatedKey(at), { event: 'activate', at });
const STATES: readonly (readonly [KeyStanding, protect: boolean, process: boolean])[] = [
  [generatedKey(at), false, false],
  [active, true, true],
  [stepKey(active, { event: 'suspend', at }), false, true],
  [stepKey(active, { event: 'deactivate', at }), false, true],
  [stepKey(active, { event: 'compromise', at }), false, true],
  [stepKey(active, { event: 'destroy', at }), false, false],
];
for (const [standing, protect, process] of STATES) {
  test(`a key that is ${standing.state} ${protect ? 'may' : 'may not'} protect and ${process ? 'may' : 'may not'} process, and says why`, () => {
    const uses = usesAt(recordOf('server-ca', {}, standing), START);
    assert.deepEqual([uses.protect.allowed, uses.process.allowed], [protect, process]);
    for (const { allowed, why } of [uses.protect, uses.process])
      assert.match(why, allowed ? /until/ : new RegExp(standing.state));
  });
}

test('a suspended key is due at once and overdue when the policy bears it no longer; after its period it is deactivated', () => {
  const suspended = recordOf('operational-ca', {}, stepKey(active, { event: 'suspend', at }));
  const after = (seconds: number) => new Date(at + seconds * 1000);
  assert.equal(attentionOf(suspended, policy, START).level, 'due');
  assert.equal(attentionOf(suspended, policy, after(policy.grace.suspendedSeconds + 1)).level, 'overdue');
  assert.equal(usesAt(suspended, after(5 * YEAR)).state, 'deactivated');
});

test('who has a successor, was ended on purpose, is destroyed, or ends by itself is never overdue', () => {
  const late = new Date(at + 19 * YEAR * 1000);
  const level = (record: KeyRecord) => attentionOf(record, policy, late).level;
  assert.equal(level(recordOf('operational-ca')), 'overdue');
  assert.equal(level(recordOf('operational-ca', { successor: 'ca-2' })), 'none');
  assert.equal(level(recordOf('operational-ca', {}, stepKey(active, { event: 'deactivate', at }))), 'none');
  assert.equal(level(recordOf('operational-ca', {}, stepKey(active, { event: 'destroy', at }))), 'none');
  assert.equal(level(recordOf('operational-ca', {}, stepKey(active, { event: 'compromise', at }))), 'overdue');
  for (const purpose of ['tls-server', 'ocsp-responder', 'device-ldevid'] as const) {
    assert.equal(level(recordOf(purpose)), 'none', purpose);
  }
});

test('a key that lives where the policy does not let it is found', () => {
  assert.equal(isInAllowedCustody(recordOf('server-ca'), policy), true);
  assert.equal(isInAllowedCustody(recordOf('server-ca', { custody: 'memory' }), policy), false);
});
