import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { formatTrace, type TestResults, trace } from '../index.ts';

let root = '';

const REQUIREMENTS = `
- { id: REQ-KEY-AAA-01, test: TEST-KEY-01, text: The first, seen: Look, links: [ota] }
- { id: REQ-KEY-AAA-02, test: TEST-KEY-02, text: The second, seen: Look, links: [ota], status: planned }
`;
// Put together at run time, so that the scan of this project does not take them for its own tests.
const TEST = ['te', 'st'].join('');
const CODE = `/** Does it. ${'REQ-KEY'}-AAA-01 */\nexport const a = 1;\n`;
const testFile = (name: string): string => `${TEST}('${name}', () => {});\n`;
const passed = (name: string): TestResults => ({
  finishedAt: '2026-01-01T00:00:00.000Z',
  tests: [{ path: 'packages/x/a.test.ts', name, passed: true }],
});

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'keystead-trace-'));
  mkdirSync(join(root, 'packages/x'), { recursive: true });
  writeFileSync(join(root, 'requirements.yaml'), REQUIREMENTS);
  writeFileSync(join(root, 'packages/x/a.ts'), CODE);
  writeFileSync(join(root, 'packages/x/a.test.ts'), testFile('TEST-KEY-01 holds'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const statusOf = (results?: TestResults): string[] => trace(root, results).rows.map((row) => row.status);

test('TEST-KEY-27 a requirement with code and a test that passed in the last run is proven', () => {
  assert.deepEqual(statusOf(passed('TEST-KEY-01 holds')), ['proven', 'planned']);
});

test('TEST-KEY-27 a deleted test turns its requirement from proven to missing, and the matrix says why', () => {
  rmSync(join(root, 'packages/x/a.test.ts'));
  const result = trace(root, passed('TEST-KEY-01 holds'));
  assert.equal(result.rows[0]?.status, 'missing');
  assert.match(formatTrace(result), /no test carries TEST-KEY-01/);
});

test('TEST-KEY-27 a test that failed, or did not run, proves nothing', () => {
  const failed = passed('TEST-KEY-01 holds');
  assert.deepEqual(statusOf({ ...failed, tests: failed.tests.map((one) => ({ ...one, passed: false })) }), [
    'missing',
    'planned',
  ]);
  assert.deepEqual(statusOf({ ...failed, tests: [] }), ['missing', 'planned']);
  assert.deepEqual(statusOf(undefined), ['missing', 'planned']);
});

test('TEST-KEY-27 code that no doc comment claims does not count, nor does a mention in a string', () => {
  writeFileSync(join(root, 'packages/x/a.ts'), `export const a = '${'REQ-KEY'}-AAA-01';\n`);
  assert.deepEqual(statusOf(passed('TEST-KEY-01 holds')), ['missing', 'planned']);
});

test('TEST-KEY-27 an id that no requirement has is reported with its place', () => {
  writeFileSync(join(root, 'packages/x/b.ts'), `/** ${'REQ-KEY'}-ZZZ-09 */\n`);
  assert.match(trace(root, undefined).strangers.join(), /packages\/x\/b\.ts:1: REQ-KEY-ZZZ-09 is not in requirements/);
});

test('a requirement that stands twice is an error', () => {
  writeFileSync(join(root, 'requirements.yaml'), `${REQUIREMENTS}${REQUIREMENTS}`);
  assert.throws(() => trace(root, undefined), /REQ-KEY-AAA-01 stands twice/);
});
