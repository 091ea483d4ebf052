import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { Deployment, portsOfProcess } from './deployment.ts';

/** Command lines of the processes of this machine that name the folder. */
function processesOn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && existsSync(`/proc/${pid}/cmdline`))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        // It ended between the two looks.
        return [];
      }
    })
    .filter((line) => line.includes(folder));
}

test('a deployment whose front end cannot start leaves no process behind that the test would wait for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-start-fails-'));
  const layout = new Layout(join(folder, 'data'));
  mkdirSync(layout.data, { mode: 0o700 });
  const { ports, host } = await openConfig(layout, systemClock, 3600, portsOfProcess());
  const taken = createServer().listen(ports.https, host);
  await once(taken, 'listening');
  try {
    await assert.rejects(
      Deployment.at(folder),
      (error) => error instanceof KeysteadError && error.code === 'service.did-not-start' && error.field === 'serve',
    );
    assert.deepEqual(processesOn(folder), []);
  } finally {
    taken.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
