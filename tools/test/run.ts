import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { globSync, mkdirSync, rmSync } from 'node:fs';
import { formatTrace, RESULTS_PATH, readResults, trace } from 'keystead/trace';
import { lintSources } from '../lint/sources.ts';
import { coverageTable } from './coverage.ts';

/**
 * Everything that must hold before a change lands: style, types, rooms, source rules, every test, and the
 * trace from each requirement to code and passing tests. Ends with a line `N passed, N failed`.
 * Arguments: paths of test files, to run only those (the trace is then not judged).
 */
const only = process.argv.slice(2);
const failures: string[] = [];
const inherit: SpawnSyncOptions = { stdio: 'inherit' };
const LCOV = 'coverage/lcov.info';

function step(name: string, command: string, args: string[]): void {
  const started = performance.now();
  console.log(`\n── ${name}`);
  const { status, error } = spawnSync(command, args, inherit);
  if (error !== undefined) console.log(error.message);
  if (status !== 0) failures.push(name);
  console.log(`── ${name}: ${status === 0 ? 'ok' : 'FAILED'} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

step('style (biome)', 'biome', ['check', '.']);
step('types (tsc)', 'tsc', ['--noEmit']);
step('rooms (dependency-cruiser)', 'depcruise', ['--config', 'tools/rooms.cjs', 'packages']);

const findings = lintSources();
console.log(`\n── source rules: ${findings.length === 0 ? 'ok' : `FAILED\n${findings.join('\n')}`}`);
if (findings.length > 0) failures.push('source rules');

mkdirSync('.keystead', { recursive: true });
mkdirSync('coverage', { recursive: true });
rmSync(RESULTS_PATH, { force: true });
const files =
  only.length > 0
    ? only
    : globSync('{packages,tests}/**/*.test.ts', { exclude: (name) => name === 'node_modules' }).sort();
step('tests (node:test)', process.execPath, [
  '--disable-warning=ExperimentalWarning',
  '--test',
  '--test-concurrency=2',
  '--experimental-test-coverage',
  '--test-coverage-exclude=**/tests/**',
  '--test-coverage-exclude=tools/**',
  '--test-reporter=spec',
  '--test-reporter-destination=stdout',
  '--test-reporter=lcov',
  `--test-reporter-destination=${LCOV}`,
  '--test-reporter=./tools/test/reporter.ts',
  `--test-reporter-destination=${RESULTS_PATH}`,
  ...files,
]);

const results = readResults('.');
const tests = results?.tests ?? [];
console.log(`\n── coverage (${LCOV})\n${coverageTable(LCOV)}`);

if (only.length === 0) {
  const matrix = trace('.', results);
  console.log(`\n── requirements\n${formatTrace(matrix)}`);
  if (matrix.strangers.length > 0 || matrix.rows.some((row) => row.status === 'missing')) failures.push('requirements');
}

const failed = tests.filter((test) => !test.passed);
console.log('');
for (const test of failed) console.log(`failed: ${test.path} › ${test.name}`);
for (const failure of failures) console.log(`failed: ${failure}`);
const checks = 5 + (only.length === 0 ? 1 : 0);
const failedChecks = failures.filter((name) => name !== 'tests (node:test)' || failed.length === 0).length;
console.log(
  `${tests.length - failed.length + checks - failures.length} passed, ${failed.length + failedChecks} failed`,
);
process.exitCode = failures.length === 0 && tests.length > 0 && failed.length === 0 ? 0 : 1;
