import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CASES, judge, UNREADABLE } from './pkits.ts';
import { pkitsPage } from './pkits-page.ts';

for (const wanted of CASES) {
  const { test: number, leaf, expected, rule } = wanted;
  const says = expected === 'valid' && rule !== undefined ? `valid, refused here by ${rule}` : expected;
  test(`TEST-KEY-07 PKITS ${number} ${leaf.replace(/EE\.crt$|\.crt$/, '')}: ${says}`, () => {
    const seen = judge(wanted);
    assert.equal(seen.ok ? undefined : seen.rule, rule, seen.ok ? 'accepted' : seen.detail);
    if (expected === 'invalid') assert.equal(seen.ok, false);
  });
}

test('PKITS: every case of sections 4.1 to 4.16 is here', () => {
  const sections = CASES.map(({ test: number }) => number.split('.').slice(0, 3).join('.'));
  assert.equal(new Set(sections).size, 224);
});

test('PKITS: what cannot be read are the three whose signatures the suite broke', () => {
  const broken = ['BadCRLSignatureCACRL.crl', 'BadSignedCACert.crt', 'InvalidDSASignatureTest6EE.crt'];
  assert.deepEqual([...UNREADABLE.keys()].sort(), broken);
});

test('docs/pkits.md is what `node packages/core/x509/path/tests/pkits-page.ts` prints', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../../docs/pkits.md'), 'utf8');
  assert.equal(page, pkitsPage());
});
