import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { TestResults } from 'keystead/trace';

/** One file of outcomes out of those of several runs; a run that left none, because it broke, adds none. */
export function mergeResults(parts: readonly string[], into: string): void {
  const runs = parts
    .filter((path) => existsSync(path) && readFileSync(path, 'utf8') !== '')
    .map((path) => JSON.parse(readFileSync(path, 'utf8')) as TestResults);
  const finishedAt =
    runs
      .map((run) => run.finishedAt)
      .sort()
      .at(-1) ?? '';
  writeFileSync(into, `${JSON.stringify({ finishedAt, tests: runs.flatMap((run) => run.tests) }, null, 1)}\n`);
}
