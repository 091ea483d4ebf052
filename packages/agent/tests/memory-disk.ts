import { dirname } from 'node:path';
import type { Disk } from '../state/disk.ts';

/** What a power cut leaves of what was not made durable. */
export type Cut = 'nothing unsynced is left' | 'everything written is left' | 'names are left, contents are torn';

interface Content {
  /** What programs see. */
  written: Uint8Array;
  /** What survives a cut; undefined when it was never synced. */
  synced: Uint8Array | undefined;
}

/** Thrown by each operation from the moment of the cut on. */
export class PowerCut extends Error {}

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

/**
 * A disk in memory that keeps apart what was written from what was made durable, as a page cache does, and whose
 * power fails before a chosen operation. One directory level is enough for the state directory.
 */
export class MemoryDisk implements Disk {
  readonly #directories = new Map<string, number>();
  /** The names that programs see, and those that survive a cut. */
  #names = new Map<string, Content>();
  #durableNames = new Map<string, Content>();
  readonly #open = new Map<number, Content>();
  #nextFile = 3;
  /** Operations that change something, so far. */
  operations = 0;
  /** The operation before which the power fails; Infinity for never. */
  cutAt = Number.POSITIVE_INFINITY;

  /** The disk as it is found after a power cut. */
  afterCut(cut: Cut): MemoryDisk {
    const found = new MemoryDisk();
    for (const [path, mode] of this.#directories) found.#directories.set(path, mode);
    const names = cut === 'nothing unsynced is left' ? this.#durableNames : this.#names;
    for (const [path, content] of names) {
      const torn = content.synced ?? content.written.slice(0, Math.floor(content.written.length / 2));
      const bytes =
        cut === 'everything written is left'
          ? content.written
          : cut === 'nothing unsynced is left'
            ? (content.synced ?? new Uint8Array(0))
            : torn;
      const kept = { written: Uint8Array.from(bytes), synced: Uint8Array.from(bytes) };
      found.#names.set(path, kept);
      found.#durableNames.set(path, kept);
    }
    return found;
  }

  /** The bytes of every file that programs see. */
  contents(): Map<string, Uint8Array> {
    return new Map([...this.#names].map(([path, content]) => [path, content.written]));
  }

  makeDirectory(path: string): void {
    this.#step();
    this.#directories.set(path, 0o700);
  }

  mode(path: string): number | undefined {
    this.#look();
    return this.#directories.get(path) ?? (this.#names.has(path) ? 0o600 : undefined);
  }

  list(path: string): string[] {
    this.#look();
    return [...this.#names.keys()]
      .filter((name) => dirname(name) === path)
      .map((name) => name.slice(path.length + 1))
      .sort();
  }

  read(path: string): Uint8Array | undefined {
    this.#look();
    const content = this.#names.get(path);
    return content === undefined ? undefined : Uint8Array.from(content.written);
  }

  create(path: string): number {
    this.#step();
    if (this.#names.has(path)) throw systemError('EEXIST');
    const content = { written: new Uint8Array(0), synced: undefined };
    this.#names.set(path, content);
    return this.#opened(content);
  }

  openOver(path: string): number {
    this.#look();
    const content = this.#names.get(path);
    if (content === undefined) throw systemError('ENOENT');
    return this.#opened(content);
  }

  write(file: number, bytes: Uint8Array): void {
    this.#step();
    this.#content(file).written = Uint8Array.from(bytes);
  }

  sync(file: number): void {
    this.#step();
    const content = this.#content(file);
    content.synced = content.written;
  }

  close(file: number): void {
    this.#open.delete(file);
  }

  rename(from: string, to: string): void {
    this.#step();
    this.#names.set(to, this.#named(from));
    this.#names.delete(from);
  }

  link(from: string, to: string): void {
    this.#step();
    if (this.#names.has(to)) throw systemError('EEXIST');
    this.#names.set(to, this.#named(from));
  }

  unlink(path: string): void {
    this.#step();
    this.#named(path);
    this.#names.delete(path);
  }

  syncDirectory(path: string): void {
    this.#step();
    const kept = [...this.#durableNames].filter(([name]) => dirname(name) !== path);
    this.#durableNames = new Map([...kept, ...[...this.#names].filter(([name]) => dirname(name) === path)]);
  }

  #opened(content: Content): number {
    this.#nextFile += 1;
    this.#open.set(this.#nextFile, content);
    return this.#nextFile;
  }

  #content(file: number): Content {
    const content = this.#open.get(file);
    if (content === undefined) throw systemError('EBADF');
    return content;
  }

  #named(path: string): Content {
    const content = this.#names.get(path);
    if (content === undefined) throw systemError('ENOENT');
    return content;
  }

  #look(): void {
    if (this.operations > this.cutAt) throw new PowerCut('the power failed');
  }

  #step(): void {
    this.operations += 1;
    if (this.operations > this.cutAt) throw new PowerCut('the power failed');
  }
}
