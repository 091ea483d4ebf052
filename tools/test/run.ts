import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { globSync, mkdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { formatTrace, RESULTS_PATH, readResults, trace } from 'keystead/trace';
import { lintSources } from '../lint/sources.ts';
import { coverageTable } from './coverage.ts';
import { INTEROP_PATH, writeInterop } from './interop.ts';
import { mergeResults } from './merge.ts';

/**
 * Everything that must hold before a change lands: style, types, rooms, source rules, every test, and the
 * trace from each requirement to code and passing tests. Ends with a line `N passed, N failed`.
 * Arguments: paths of test files, to run only those (the trace is then not judged).
 */
const only = process.argv.slice(2);
const failures: string[] = [];
const inherit: SpawnSyncOptions = { stdio: 'inherit' };
const LCOV = 'coverage/lcov.info';

function step(name: string, command: string, args: string[], options: SpawnSyncOptions = inherit): void {
  const started = performance.now();
  console.log(`\n── ${name}`);
  const { status, error } = spawnSync(command, args, options);
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

/** The two runs of node:test: the rooms with coverage, and the whole system, whose processes are killed on purpose. */
const RUNS = [
  { name: 'tests of the rooms', files: 'packages/**/*.test.ts', results: '.keystead/rooms.json', coverage: true },
  { name: 'tests of the whole', files: '{tests,bench}/**/*.test.ts', results: '.keystead/whole.json', coverage: false },
];

function runTests({ name, files, results, coverage }: (typeof RUNS)[number]): void {
  rmSync(results, { force: true });
  const wanted = globSync(files, { exclude: (part) => part === 'node_modules' }).sort();
  const chosen = only.length > 0 ? wanted.filter((file) => only.includes(file)) : wanted;
  if (chosen.length === 0) return;
  // Hundreds of processes load the same code: it is compiled once. What is measured for coverage is compiled anew.
  const env = coverage ? process.env : { ...process.env, NODE_COMPILE_CACHE: resolve('.keystead/compiled') };
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-concurrency=2',
    // A test that fails may leave a process or a socket behind: that must not keep the run from ending.
    '--test-force-exit',
    '--test-timeout=420000',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=./tools/test/reporter.ts',
    `--test-reporter-destination=${results}`,
    ...(coverage
      ? [
          '--import=./tools/test/own-coverage.ts',
          '--experimental-test-coverage',
          '--test-coverage-exclude=**/tests/**',
          '--test-coverage-exclude=tools/**',
          '--test-reporter=lcov',
          `--test-reporter-destination=${LCOV}`,
        ]
      : []),
    ...chosen,
  ];
  step(name, process.execPath, args, { ...inherit, env });
}

for (const run of RUNS) runTests(run);
mergeResults(
  RUNS.map((run) => run.results),
  RESULTS_PATH,
);
const results = readResults('.');
const tests = results?.tests ?? [];
console.log(`\n── coverage (${LCOV})\n${coverageTable(LCOV)}`);

if (only.length === 0) {
  const matrix = trace('.', results);
  console.log(`\n── requirements\n${formatTrace(matrix)}`);
  if (matrix.strangers.length > 0 || matrix.rows.some((row) => row.status === 'missing')) failures.push('requirements');
}

const failed = tests.filter((test) => !test.passed);
if (only.length === 0 && failed.length === 0) {
  const changed = writeInterop(tests.map((test) => test.name));
  console.log(
    `\n── foreign clients (${INTEROP_PATH}): ${changed ? 'FAILED: the page said otherwise; commit it as it is now' : 'ok'}`,
  );
  if (changed) failures.push('foreign clients');
}
console.log('');
for (const test of failed) console.log(`failed: ${test.path} › ${test.name}`);
for (const failure of failures) console.log(`failed: ${failure}`);
const checks = 4 + RUNS.length + (only.length === 0 ? 1 : 0) + (only.length === 0 && failed.length === 0 ? 1 : 0);
// A failed run of tests is counted by its tests, unless it failed without any.
const failedChecks = failures.filter((name) => !name.startsWith('tests of') || failed.length === 0).length;
console.log(
  `${tests.length - failed.length + checks - failures.length} passed, ${failed.length + failedChecks} failed`,
);
process.exitCode = failures.length === 0 && tests.length > 0 && failed.length === 0 ? 0 : 1;
