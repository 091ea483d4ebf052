import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import type { DerCertificate } from '../../../bytes/index.ts';
import { checkPath } from '../check.ts';

const PKITS = join(import.meta.dirname, '../../../../../vectors/pkits');
const CASES = z
  .array(
    z.object({
      section: z.string(),
      test: z.int(),
      name: z.string(),
      leaf: z.string(),
      intermediates: z.array(z.string()),
      expected: z.enum(['valid', 'invalid']),
    }),
  )
  .parse(JSON.parse(readFileSync(join(PKITS, 'cases.json'), 'utf8')));

const certificate = (file: string) => new Uint8Array(readFileSync(join(PKITS, 'certs', file))) as DerCertificate;
const anchor = certificate('TrustAnchorRootCertificate.crt');
/** Within the suite's validity, which ends in 2030. */
const now = new Date('2026-06-01T00:00:00Z');

/** Sections on policies, which are not processed: their critical extensions refuse the path. */
const POLICIES = ['4.8', '4.9', '4.10', '4.11', '4.12'];

for (const { section, test: number, name, leaf, intermediates, expected } of CASES) {
  const result = () => checkPath(certificate(leaf), intermediates.map(certificate), [anchor], { now });
  const fails = (rule: string) => () => {
    const seen = result();
    assert.equal(seen.ok, false, 'refused');
    assert.equal(seen.ok || seen.rule, rule);
  };
  if (section === '4.1' && number === 5) {
    test(`PKITS ${section}.${number} ${name}: refused, for DSA is not accepted`, fails('algorithm'));
  } else if (POLICIES.includes(section)) {
    test(`PKITS ${section}.${number} ${name} (${expected}): accepted only where no policy is constrained`, () => {
      const seen = result();
      if (seen.ok) assert.equal(expected, 'valid');
      else assert.equal(seen.rule, 'unknown-critical');
    });
  } else {
    test(`PKITS ${section}.${number} ${name}: ${expected}`, () => {
      const seen = result();
      assert.equal(seen.ok ? 'valid' : 'invalid', expected, seen.ok ? '' : `${seen.rule}: ${seen.detail}`);
    });
  }
}
