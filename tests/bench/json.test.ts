import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

const BENCH = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const Figures = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[a-z0-9-]+$/),
      value: z.number().positive(),
      unit: z.string().min(1),
      limit: z.number().positive(),
      ratio: z.number().positive(),
      what: z.string().min(20),
    }),
  )
  .min(1);

test('the bench prints a JSON array of figures with their limits on standard output, and progress elsewhere', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    BENCH,
    '--json',
    '--quick',
    '--only',
    'audit',
  ]);
  const figures = Figures.parse(JSON.parse(stdout));
  assert.deepEqual(
    figures.map((figure) => figure.name),
    ['audit-appends', 'audit-appends-alone'],
  );
  // Value and limit are rounded on their way out.
  for (const { value, limit, ratio } of figures) assert.ok(Math.abs(value / limit - ratio) < 0.02 * ratio + 0.001);
  assert.match(stderr, /round 1/);
});

test('the bench compares moduli with each other, and says how its speed stands to that of pairs one by one', async () => {
  const options = ['--json', '--quick', '--only', 'moduli', '--moduli', '256'];
  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, ...options]);
  const figures = Figures.parse(JSON.parse(stdout));
  // The third one needs GMP, where python3 finds it.
  assert.deepEqual(
    figures.slice(0, 2).map(({ name }) => name),
    ['moduli-pairs-vs-gcd', 'moduli-new-vs-gcd'],
  );
});

test('the bench refuses a part that it does not have, and names those that it has', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BENCH, '--only', 'nothing'], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    /there is no part nothing[\s\S]*audit, pkcs11, provision, filter, sign, firmware, enrol, ocsp, issue, crl, moduli/,
  );
});
