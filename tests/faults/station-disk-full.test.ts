import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const RUN = fileURLToPath(new URL('station-disk-full-run.ts', import.meta.url));
const NODE = [process.execPath, '--disable-warning=ExperimentalWarning', RUN];

test('TEST-KEY-17 a disk that is full at the record, or at the journal, is a retry for the rig, and with room each unit gets one identity', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-station-disk-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  // A mount namespace of its own; without root, with a namespace of users as well.
  const unshare = process.getuid?.() === 0 ? ['-m'] : ['-rm'];
  const run = spawnSync('unshare', [...unshare, ...NODE, folder], { encoding: 'utf8', timeout: 120_000 });
  assert.equal(run.status, 0, run.stderr);
  const { full, afterRoom, idevids } = JSON.parse(run.stdout);
  for (const which of ['store', 'keyd']) {
    assert.equal(full[which].verdict, 'retry 83 disk-full', full[which].text);
    assert.equal(full[which].status, 503);
    assert.match(full[which].text, which === 'store' ? /store\.disk-full/ : /keyd\.journal-failed/);
    assert.match(afterRoom[which], /^pass [01] done/);
  }
  assert.deepEqual(new Set(Object.values(idevids)), new Set([1]));
});
