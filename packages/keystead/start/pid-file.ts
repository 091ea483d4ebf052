import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';

/** Keeps a second Keystead off a data directory. A file that a killed process left behind is taken over. */
export class PidFile implements Disposable {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws KeysteadError `service.already-running` naming the process that has the directory. */
  static take(path: string): PidFile {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      try {
        const file = openSync(path, 'wx', 0o600);
        writeSync(file, `${process.pid} ${startTime(process.pid)}\n`);
        closeSync(file);
        return new PidFile(path);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
        const holder = livingHolder(path);
        if (holder !== undefined) {
          throw new KeysteadError('service.already-running', { field: path, seen: `process ${holder}` });
        }
        rmSync(path, { force: true });
      }
    }
    throw new KeysteadError('service.already-running', { field: path });
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { force: true });
  }
}

function livingHolder(path: string): number | undefined {
  const [pid = '', started = ''] = readFileSync(path, 'utf8').trim().split(' ');
  if (!/^\d+$/.test(pid)) return undefined;
  return startTime(Number(pid)) === started && started !== '' ? Number(pid) : undefined;
}

/**
 * When a process began, in clock ticks since boot (proc(5), field 22 of stat): with it a process id that was given to
 * another process since is not mistaken for the old one. Empty when there is no such process.
 */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
