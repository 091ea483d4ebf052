import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

interface Outcome {
  readonly path: string;
  readonly name: string;
  readonly passed: boolean;
}

/** A node:test reporter that leaves one record a test, for the requirement trace (`.keystead/test-results.json`). */
export default async function* record(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const tests: Outcome[] = [];
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { name, file, details, skip, todo } = event.data;
    // A file itself is reported as a test too; its name is its path.
    if (file === undefined || details.type === 'suite' || name === file || name === relative(process.cwd(), file))
      continue;
    const passed = event.type === 'test:pass' && skip === undefined && todo === undefined;
    tests.push({ path: relative(process.cwd(), file), name, passed });
  }
  yield `${JSON.stringify({ finishedAt: new Date().toISOString(), tests }, null, 1)}\n`;
}
