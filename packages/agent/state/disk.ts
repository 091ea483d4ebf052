import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/**
 * The few file operations that the state directory uses, one system call each, so that a test can fail or
 * lose power between any two of them. Paths are absolute. Every operation throws what node:fs throws.
 */
export interface Disk {
  /** Makes a directory that only its owner can enter (0700), with its missing parents; it may exist. */
  makeDirectory(path: string): void;
  /** Permission bits of a file or directory; undefined when it does not exist. */
  mode(path: string): number | undefined;
  /** Names in a directory, sorted, without those of directories: a file system of its own has `lost+found`. */
  list(path: string): string[];
  /** The whole file; undefined when it does not exist. */
  read(path: string): Uint8Array | undefined;
  /** Opens a new file (0600) for writing; throws EEXIST when it exists. */
  create(path: string): number;
  /** Opens a file to write over it from its start; its length is kept. */
  openOver(path: string): number;
  write(file: number, bytes: Uint8Array): void;
  sync(file: number): void;
  close(file: number): void;
  rename(from: string, to: string): void;
  /** A second name for a file; throws EEXIST when the name is taken (this is what makes the lock atomic). */
  link(from: string, to: string): void;
  unlink(path: string): void;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): void;
}

function absentIsUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The machine's own file system. */
export const nodeDisk: Disk = {
  makeDirectory(path) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  },
  mode: (path) => absentIsUndefined(() => statSync(path).mode & 0o777),
  list: (path) =>
    readdirSync(path, { withFileTypes: true })
      .flatMap((one) => (one.isDirectory() ? [] : [one.name]))
      .sort(),
  read: (path) => absentIsUndefined(() => new Uint8Array(readFileSync(path))),
  create(path) {
    const file = openSync(path, 'wx', 0o600);
    // The umask may have taken bits away, never added any; this only restores the owner's.
    chmodSync(path, 0o600);
    return file;
  },
  openOver: (path) => openSync(path, constants.O_WRONLY),
  write(file, bytes) {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  },
  sync: (file) => fsyncSync(file),
  close: (file) => closeSync(file),
  rename: (from, to) => renameSync(from, to),
  link: (from, to) => linkSync(from, to),
  unlink: (path) => unlinkSync(path),
  syncDirectory(path) {
    const directory = openSync(path, 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  },
};

/** The suffix of a file that is not yet whole; whoever opens the directory removes such files. */
export const UNFINISHED = '.unfinished';

/**
 * Replaces a file so that after a power cut it holds the old bytes or the new, never a mixture: new file,
 * fsync, rename over the old, fsync of the directory. When this returns, the new bytes are durable.
 */
export function replaceFile(disk: Disk, path: string, bytes: Uint8Array): void {
  const unfinished = `${path}${UNFINISHED}`;
  if (disk.mode(unfinished) !== undefined) disk.unlink(unfinished);
  const file = disk.create(unfinished);
  try {
    disk.write(file, bytes);
    disk.sync(file);
  } finally {
    disk.close(file);
  }
  disk.rename(unfinished, path);
  disk.syncDirectory(dirname(path));
}
