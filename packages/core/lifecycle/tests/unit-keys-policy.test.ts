import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeysteadError } from '../../errors/index.ts';
import {
  demoPolicy,
  formatPolicy,
  type Policy,
  policyDifferences,
  policyDocument,
  policyFile,
  renderMarkdown,
} from '../index.ts';

const issued = new Date('2026-01-01T00:00:00.000Z');
const made = (unitKeys?: Policy['unitKeys']): Policy => demoPolicy({ operators: [], issued, unitKeys });
const said = (before: Policy['unitKeys'], after: Policy['unitKeys']): string[] =>
  policyDifferences(made(before), { ...made(after), version: 2 }).map(({ field, severity }) => `${severity} ${field}`);

test('unitKeys names profiles of units and each purpose once, and a policy without it stays as it was', () => {
  assert.equal(made().unitKeys, undefined);
  for (const unitKeys of [
    { injected: ['ldevid'] },
    { injected: ['root-ca'] },
    { injected: ['nothing'] },
    { diversified: [1, 2].map((version) => ({ purpose: 'link', version, bytes: 32 as const })) },
  ]) {
    assert.throws(
      () => made(unitKeys),
      (error) => error instanceof KeysteadError && error.code === 'policy.unit-keys-unsound',
    );
  }
});

test('TEST-KEY-25: every change of unitKeys is told, and an older master breaks', () => {
  const link = { purpose: 'link', version: 2, bytes: 32 } as const;
  const diversified = [link];
  assert.ok(said(undefined, { injected: ['idevid'] }).includes('warns unitKeys.injected'));
  assert.ok(said({ injected: ['idevid'] }, undefined).includes('warns unitKeys.injected'));
  assert.ok(said(undefined, { diversified }).includes('warns unitKeys.diversified.link'));
  assert.ok(said({ diversified }, undefined).includes('warns unitKeys.diversified.link'));
  assert.ok(
    said({ diversified }, { diversified: [{ ...link, version: 1 }] }).includes('breaks unitKeys.diversified.link'),
  );
  assert.ok(
    said({ diversified }, { diversified: [{ ...link, bytes: 16 }] }).includes('breaks unitKeys.diversified.link'),
  );
});

test('TEST-KEY-25: the document says which keys others than the device make', () => {
  const link = { purpose: 'link', version: 2, bytes: 32 } as const;
  const policy = made({ injected: ['idevid'], diversified: [link] });
  const text = renderMarkdown(policyDocument(policyFile(Buffer.from(formatPolicy(policy))), []));
  assert.match(text, /without a random source keyd may make the key, by idevid/);
  assert.match(text, /a key of 32 bytes for link, derived \(SP 800-108r1\) from master 2/);
});
