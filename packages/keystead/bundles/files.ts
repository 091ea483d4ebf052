import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { decodeFilter } from '@keystead/core/trust';
import { durableDirectory, durableWrite, removeUnfinished } from '../files/durable.ts';

/** Everybody may read what everybody may fetch. */
const MODE = 0o644;

/** A filter with the files that it changes, the one that stands alone first. */
export type FilterChain = readonly Uint8Array[];

/**
 * The directory from which trust bundles and filters are served: `<version>.cose`, `<version>.jws`, `filters/<sha256>`.
 * A file is written once, whole and durable, before anybody is told of it.
 */
export class BundleFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes the directories. */
  open(): void {
    durableDirectory(join(this.#dir, 'filters'), 0o700);
  }

  putBundle(version: number, bundle: Uint8Array, jws: string): void {
    this.#put(this.#bundle(version, 'jws'), Buffer.from(jws, 'utf8'));
    this.#put(this.#bundle(version, 'cose'), bundle);
  }

  /** @returns the name of the filter: SHA-256 of its file, hex. */
  putFilter(bytes: Uint8Array): string {
    const name = toHex(sha256(bytes));
    this.#put(this.#filter(name), bytes);
    return name;
  }

  hasBundle(version: number): boolean {
    return existsSync(this.#bundle(version, 'cose')) && existsSync(this.#bundle(version, 'jws'));
  }

  bundle(version: number, form: 'cose' | 'jws'): Promise<Uint8Array | undefined> {
    return read(this.#bundle(version, form));
  }

  /** As {@link bundle} for COSE, at once: for who reads one in a transaction. */
  bundleNow(version: number): Uint8Array | undefined {
    const path = this.#bundle(version, 'cose');
    return existsSync(path) ? readFileSync(path) : undefined;
  }

  /** A filter by its hash; undefined also for one whose file is not what its name says. */
  async filter(name: string): Promise<Uint8Array | undefined> {
    const bytes = await read(this.#filter(name));
    return bytes !== undefined && toHex(sha256(bytes)) === name ? bytes : undefined;
  }

  /** A filter with all before it; undefined where one of them is missing. */
  async chain(name: string, most: number): Promise<FilterChain | undefined> {
    const files: Uint8Array[] = [];
    for (let at: string | undefined = name; at !== undefined; ) {
      const bytes: Uint8Array | undefined = files.length > most ? undefined : await this.filter(at);
      if (bytes === undefined) return undefined;
      files.unshift(bytes);
      at = decodeFilter(bytes).base;
    }
    return files;
  }

  /** Removes every filter but these, and every bundle that is not kept. */
  prune(filters: ReadonlySet<string>, keeps: (version: number) => boolean): void {
    for (const name of readdirSync(join(this.#dir, 'filters')))
      if (!filters.has(name)) rmSync(join(this.#dir, 'filters', name), { force: true });
    for (const name of readdirSync(this.#dir)) {
      const version = /^(\d+)\.(?:cose|jws)$/.exec(name)?.[1];
      if (version !== undefined && !keeps(Number(version))) rmSync(join(this.#dir, name), { force: true });
    }
  }

  #put(path: string, bytes: Uint8Array): void {
    removeUnfinished(path);
    durableWrite(path, bytes, MODE);
  }

  #bundle(version: number, form: 'cose' | 'jws'): string {
    return join(this.#dir, `${version}.${form}`);
  }

  #filter(name: string): string {
    return join(this.#dir, 'filters', name);
  }
}

async function read(path: string): Promise<Uint8Array | undefined> {
  if (!existsSync(path)) return undefined;
  return readFile(path);
}
