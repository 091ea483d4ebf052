import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Disk, UNFINISHED } from './disk.ts';

/** Who holds a lock. The start time tells a process from a later one that was given the same id. */
export interface LockHolder {
  readonly pid: number;
  /** Clock ticks between the machine's start and the process's (field 22 of /proc/pid/stat); '' where unknown. */
  readonly started: string;
  /** /proc/sys/kernel/random/boot_id; '' where unknown. */
  readonly boot: string;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The start time of a running process; '' when there is none, or when it has died and only waits for its parent. */
function startOf(pid: number): string {
  // The command name may hold blanks and brackets: the fields are counted after its closing bracket.
  const fields = readText(`/proc/${pid}/stat`).split(') ').pop()?.split(' ') ?? [];
  return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
}
const bootId = (): string => readText('/proc/sys/kernel/random/boot_id').trim();

let own: LockHolder | undefined;

/** It is the same for as long as the process lives. */
export function thisProcess(): LockHolder {
  own ??= { pid: process.pid, started: startOf(process.pid), boot: bootId() };
  return own;
}

/** Whether the holder still runs on this machine. */
export function isAlive(holder: LockHolder): boolean {
  if (holder.boot !== bootId()) return false;
  if (holder.started !== '') return startOf(holder.pid) === holder.started;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

const LOCK_NAME = /^lock\.([1-9]\d{0,14})$/;

/** What a lock file says; one that says nothing readable was never finished, so nobody holds it. */
function parseHolder(bytes: Uint8Array | undefined): LockHolder | 'free' {
  let fields: Map<string, unknown>;
  try {
    fields = new Map(Object.entries(Object(JSON.parse(Buffer.from(bytes ?? []).toString('utf8')))));
  } catch {
    return 'free';
  }
  const pid = fields.get('pid');
  if (typeof pid !== 'number') return 'free';
  return { pid, started: String(fields.get('started') ?? ''), boot: String(fields.get('boot') ?? '') };
}

/**
 * One agent at a time. Node.js offers no flock, so the lock is a chain of files `lock.<n>`: the highest
 * number is the lock. A dead holder's lock is taken over by creating the next number, which the file system
 * lets only one process do; the number never goes down, so a slow rival with an old view cannot win later.
 * Trusted for: processes of one machine that see one process table. Two containers that share a directory
 * but not a pid namespace are not told apart.
 */
export class DirectoryLock {
  readonly #disk: Disk;
  readonly #path: string;

  private constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  /** @throws KeysteadError state.locked when a living process holds the directory. */
  static take(
    disk: Disk,
    directory: string,
    self: LockHolder = thisProcess(),
    alive: (holder: LockHolder) => boolean = isAlive,
  ): DirectoryLock {
    const refuse = (holder: LockHolder | 'another'): never => {
      throw new KeysteadError('state.locked', {
        field: directory,
        seen: holder === 'another' ? 'another agent that was faster' : `process ${holder.pid}`,
      });
    };
    const numbers = (): number[] =>
      disk
        .list(directory)
        .map((name) => Number(LOCK_NAME.exec(name)?.[1] ?? 0))
        .filter((n) => n > 0)
        .sort((a, b) => a - b);
    const highest = numbers().at(-1) ?? 0;
    if (highest > 0) {
      const holder = parseHolder(disk.read(join(directory, `lock.${highest}`)));
      if (holder !== 'free' && alive(holder)) refuse(holder);
    }
    const path = join(directory, `lock.${highest + 1}`);
    // Written beside and linked, so that the lock never exists without its holder's name in it.
    const written = join(directory, `lock-${toHex(randomBytes(8))}${UNFINISHED}`);
    writeHolder(disk, written, self);
    try {
      disk.link(written, path);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') refuse('another');
      throw error;
    } finally {
      disk.unlink(written);
    }
    const now = numbers();
    if (now.at(-1) !== highest + 1) {
      disk.unlink(path);
      refuse('another');
    }
    for (const older of now.slice(0, -1)) disk.unlink(join(directory, `lock.${older}`));
    return new DirectoryLock(disk, path);
  }

  /**
   * Frees the lock. It is written over in place, which works on a full disk as well; its number stays, so that
   * numbers only go up. A lock that cannot be freed ends with the process.
   */
  release(): void {
    try {
      const length = this.#disk.read(this.#path)?.length ?? 0;
      const file = this.#disk.openOver(this.#path);
      try {
        this.#disk.write(file, Buffer.from(JSON.stringify({ free: true }).padEnd(length)));
        this.#disk.sync(file);
      } finally {
        this.#disk.close(file);
      }
    } catch {
      // Whoever closes a state has other things to report than this.
    }
  }
}

function writeHolder(disk: Disk, path: string, holder: LockHolder): void {
  const file = disk.create(path);
  try {
    disk.write(file, Buffer.from(JSON.stringify(holder)));
    disk.sync(file);
  } finally {
    disk.close(file);
  }
}
