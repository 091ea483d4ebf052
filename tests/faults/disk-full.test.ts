import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const RUN = fileURLToPath(new URL('disk-full-run.ts', import.meta.url));
const NODE = [process.execPath, '--disable-warning=ExperimentalWarning', RUN];
const CODES = { store: /store\.disk-full/, keyd: /keyd\.journal-failed/ };

for (const which of ['store', 'keyd'] as const) {
  test(`a full disk under ${which} is a 503, loses nothing that was acknowledged, and heals with room`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'keystead-disk-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const unshare = process.getuid?.() === 0 ? ['-m'] : ['-rm'];
    const run = spawnSync('unshare', [...unshare, ...NODE, folder, which], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(run.status, 0, run.stderr);
    const { refused, afterRoom, afterRestart } = JSON.parse(run.stdout);
    for (const { status, text, retry } of refused) {
      assert.equal(status, 503, text);
      assert.match(text, CODES[which]);
      assert.match(retry, /^\d+$/);
    }
    assert.equal(afterRoom.status, 200, afterRoom.text);
    assert.equal(afterRestart.status, 200, afterRestart.text);
  });
}
