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

/**
 * Nothing is wrong in this data directory: by `keystead verify`, and by `keystead audit verify`, which goes over the log
 * alone. Of one user in a container keyd's isolation is weak, and no check may be worse.
 */
export async function nothingIsWrong(layout: Layout): Promise<void> {
  const found = [...(await verified(layout)).values()];
  assert.deepEqual(
    found.filter(({ verdict }) => verdict !== 'passed' && verdict !== 'weak'),
    [],
  );
  const log = await keystead(['audit', 'verify', '--data', layout.data]);
  assert.equal(log.status, 0, log.stdout + log.stderr);
}
