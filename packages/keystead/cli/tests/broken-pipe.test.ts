import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../main.ts', import.meta.url));

/** Runs `keystead` with an output that nobody reads any more. */
async function unread(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (part: Buffer) => {
    stderr += part.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stderr };
}

test('a reader that has gone, as head does, is no failure: nothing is said and the exit code is that of the command', async () => {
  const asked: readonly (readonly [args: readonly string[], code: number])[] = [
    [['--help'], 0],
    [['revoke', '--help'], 0],
    [['keys', 'list', '--json', '--data', '/nonexistent'], 3],
  ];
  for (const [args, code] of asked) {
    assert.deepEqual(await unread(...args), { code, stderr: '' }, args.join(' '));
  }
});
