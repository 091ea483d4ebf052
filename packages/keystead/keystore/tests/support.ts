import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SimulatedClock } from '@keystead/core/clock';
import { SecretBytes } from '@keystead/core/crypto';

export const clock = new SimulatedClock(new Date('2026-03-01T10:00:00Z'));
export const phrase = (text: string): SecretBytes => SecretBytes.copy(Buffer.from(text));

/** A directory that lasts as long as `f`. */
export async function inTemporaryDirectory<T>(f: (dir: string) => T | Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-keystore-'));
  try {
    return await f(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Runs a foreign tool; a failure of it is a failure of the test. */
export function run(command: string, args: string[], input?: Uint8Array): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout.toString();
}

/** The URL of a source file of this package, for a script that runs in a process of its own. */
export const source = (path: string): string => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

/** Starts a script of its own under `dir`; it ends with the test at the latest. */
export function startScript(dir: string, script: string, args: string[], stdio: StdioOptions): ChildProcess {
  const file = join(dir, 'script.ts');
  writeFileSync(file, script);
  return spawn(process.execPath, [file, ...args], { stdio });
}

/** How a process ended. */
export function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
}
