import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeysteadError } from '../../errors/index.ts';
import { DEMO_FIRMWARE, DEMO_TUF, demoPolicy, policyDifferences, type TufPolicy } from '../index.ts';

const issued = new Date('2026-03-01T08:00:00Z');
const policyOf = (tuf: TufPolicy) => demoPolicy({ operators: [], issued, tuf });
const [pump] = DEMO_TUF.repositories;
assert.ok(pump);

function refused(code: string, field: string, act: () => unknown): void {
  assert.throws(act, (error) => error instanceof KeysteadError && error.code === code && error.field === field);
}

test('TEST-KEY-23 a repository and each of its keys stand once, and a timestamp is good for no longer than a snapshot', () => {
  assert.deepEqual(policyOf(DEMO_TUF).tuf, DEMO_TUF);
  const two = { ...pump, repository: 'lamp' };
  refused('policy.tuf-rule', 'tuf.repositories[1].repository', () => policyOf({ repositories: [pump, pump] }));
  refused('policy.tuf-rule', 'tuf.repositories[1].keys[0].id', () => policyOf({ repositories: [pump, two] }));
  const long = { ...pump, timestampSeconds: pump.snapshotSeconds + 1 };
  refused('policy.tuf-rule', 'tuf.repositories[0].timestampSeconds', () => policyOf({ repositories: [long] }));
  const name = { ...pump, repository: '../pump' };
  refused('policy.malformed', 'tuf.repositories[0].repository', () => policyOf({ repositories: [name] }));
});

test('a policy that requires time stamps of firmware has a TSA', () => {
  const firmware = structuredClone(DEMO_FIRMWARE);
  Object.assign(firmware.products[0]?.environments.production ?? {}, { timestamp: 'required' });
  const people = { operators: [], issued, firmware };
  assert.ok(demoPolicy(people));
  const field = 'firmware.products[0].environments.production.timestamp';
  refused('policy.firmware-rule', field, () => demoPolicy({ ...people, tsaSigner: false }));
});

test('what a change of the repositories breaks is told before anybody signs it', () => {
  const before = policyOf({ repositories: [{ ...pump, root: 'a'.repeat(64) }] });
  const after = policyOf({ repositories: [{ ...pump, root: 'b'.repeat(64), timestampSeconds: 3600 }] });
  const told = policyDifferences(before, after).map(({ severity, field }) => `${severity} ${field}`);
  assert.ok(told.includes('breaks tuf.repositories.ks-pump-1.root'));
  assert.ok(told.includes('warns tuf.repositories.ks-pump-1.timestampSeconds'));
});
