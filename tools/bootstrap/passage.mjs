// The tests start keyd and serve as users of their own, who must reach this checkout. Where a folder above it is closed
// to others (a clone in a temporary folder), root opens it to be passed through, not to be listed, while the tests run.
import { chmodSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { root } from './runtime.mjs';

export function openPassage() {
  if (process.getuid?.() !== 0) return;
  for (let dir = root; dir !== dirname(dir); dir = dirname(dir)) {
    const mode = statSync(dir).mode & 0o7777;
    if ((mode & 0o001) !== 0) continue;
    process.stderr.write(`keystead: ${dir} may be passed through by others while the tests run\n`);
    chmodSync(dir, mode | 0o001);
    process.on('exit', () => chmodSync(dir, mode));
  }
}
