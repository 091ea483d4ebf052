import assert from 'node:assert/strict';
import type { Layout } from 'keystead/files/layout.ts';
import { keystead } from '../interop/foreign.ts';

interface Found {
  readonly id: string;
  readonly verdict: string;
  readonly evidence: string;
}

/** What `keystead verify` says of a data directory, by the id of each check. */
export async function verified(layout: Layout): Promise<Map<string, Found>> {
  const run = await keystead(['verify', '--data', layout.data, '--json']);
  assert.match(run.stdout, /^\[/, run.stderr);
  return new Map((JSON.parse(run.stdout) as Found[]).map((one) => [one.id, one]));
}

/** What is weak of one user in a container, and of a keyd without a counter outside of its disk. */
const WEAK_HERE = ['keyd.isolation', 'keyd.count'];

/**
 * Nothing is wrong in this data directory: by `keystead verify`, and by `keystead audit verify`, which goes over the log
 * alone. What was never set up in a test may be weak, and nothing else: a gap in a factory's history is weak, too.
 */
export async function nothingIsWrong(layout: Layout): Promise<void> {
  const found = [...(await verified(layout)).values()];
  assert.notEqual(found.length, 0);
  assert.deepEqual(
    found.filter(({ id, verdict }) => verdict !== 'passed' && !(verdict === 'weak' && WEAK_HERE.includes(id))),
    [],
  );
  const log = await keystead(['audit', 'verify', '--data', layout.data]);
  assert.equal(log.status, 0, log.stdout + log.stderr);
}
