import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { LoadPlan, LoadResult } from './plan.ts';

const PROGRAM = fileURLToPath(new URL('main.ts', import.meta.url));

/**
 * Runs the load generator on a plan, in a process of its own.
 * @throws Error when anything but 200 was answered: such a rate would say nothing.
 */
export async function ownLoad(plan: LoadPlan): Promise<LoadResult> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(plan));
  const output = await text(child.stdout);
  if ((await ended) !== 0) throw new Error('the load generator failed; its words stand above');
  return requireAnswers(plan, JSON.parse(output));
}

export function requireAnswers(target: Pick<LoadPlan, 'path' | 'port'>, result: LoadResult): LoadResult {
  if (result.failures === 0 && result.answers > 0) return result;
  const of = result.failures + result.answers;
  throw new Error(`${result.failures} of ${of} requests to ${target.path} failed, for example: ${result.failure}`);
}
