import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  fileOf,
  MOST_SUBJECT_BYTES,
  readRole,
  requireNextRoot,
  type TufEnvelope,
  type TufRole,
  type TufRoot,
  type TufSigned,
  type TufTarget,
} from '@keystead/core/firmware';
import { durableDirectory, durableWrite, removeUnfinished } from '../../files/durable.ts';
import { asSolePublisher } from './sole-publisher.ts';

/** Everybody may read what everybody may fetch. */
const MODE = 0o644;

/** Metadata with the bytes that are published. */
export interface Published<R extends TufRole> extends TufEnvelope<Extract<TufSigned, { _type: R }>> {
  readonly bytes: Uint8Array;
}

/**
 * A TUF repository as a web server gives it out (TUF 1.0 section 6.2, consistent snapshots): `metadata/<n>.root.json`,
 * `<n>.targets.json`, `<n>.snapshot.json` and `timestamp.json`, and `targets/<path>/<sha256>.<name>`. Only
 * `timestamp.json` changes; it is what puts the others in force.
 */
export class TufRepository {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Does something as the one publisher. @throws KeysteadError `tuf.publisher-busy`; what `act` throws. */
  alone<T>(act: () => Promise<T>): Promise<T> {
    return asSolePublisher(this.#dir, act);
  }

  /** The directories, made where they are missing. */
  prepare(): void {
    for (const part of ['metadata', 'targets']) durableDirectory(join(this.#dir, part), 0o755);
  }

  /**
   * The root in force: the last of the chain, each signed by the one before, from the first on.
   * @throws KeysteadError `firmware.tuf-repository`, `firmware.malformed`, `firmware.tuf-version`, `firmware.tuf-threshold`.
   */
  root(): TufRoot {
    let root: TufRoot | undefined;
    for (let version = 1; existsSync(this.#metadata(`${version}.root.json`)); version += 1) {
      const next = this.read('root', version);
      requireNextRoot(root, next);
      root = next.signed;
    }
    if (root === undefined)
      throw new KeysteadError('firmware.tuf-repository', { field: this.#metadata('1.root.json') });
    return root;
  }

  /** All roots as they are published, the first first; {@link TufRepository.root} judges them. */
  roots(): readonly Uint8Array[] {
    const roots: Uint8Array[] = [];
    while (existsSync(this.#metadata(`${roots.length + 1}.root.json`)))
      roots.push(this.read('root', roots.length + 1).bytes);
    return roots;
  }

  /** @throws KeysteadError `firmware.tuf-repository`, `firmware.malformed`. */
  read<R extends TufRole>(role: R, version?: number): Published<R> {
    const path = this.#metadata(role === 'timestamp' ? 'timestamp.json' : `${version}.${role}.json`);
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined || size > MOST_SUBJECT_BYTES) {
      throw new KeysteadError('firmware.tuf-repository', {
        field: path,
        seen: size === undefined ? 'no file' : `${size} octets`,
      });
    }
    const bytes = new Uint8Array(readFileSync(path));
    return { ...readRole(role, bytes), bytes };
  }

  /** The timestamp in force; undefined before the first publication. @throws KeysteadError `firmware.malformed`. */
  timestamp(): Published<'timestamp'> | undefined {
    return existsSync(this.#metadata('timestamp.json')) ? this.read('timestamp') : undefined;
  }

  /** What the timestamp puts in force; undefined before the first publication. */
  inForce():
    | { timestamp: Published<'timestamp'>; snapshot: Published<'snapshot'>; targets: Published<'targets'> }
    | undefined {
    const timestamp = this.timestamp();
    if (timestamp === undefined) return undefined;
    const snapshot = this.#named('snapshot', timestamp.signed.meta['snapshot.json']);
    const targets = this.#named('targets', snapshot.signed.meta['targets.json']);
    return { timestamp, snapshot, targets };
  }

  /**
   * Puts metadata in place, durably. A root is seen by clients at once and never changes; a snapshot or targets that no
   * timestamp has put in force yet may be written again.
   * @throws KeysteadError `firmware.tuf-version`.
   */
  write(role: TufRole, version: number, bytes: Uint8Array): void {
    const path = this.#metadata(role === 'timestamp' ? 'timestamp.json' : `${version}.${role}.json`);
    if (existsSync(path) && role !== 'timestamp') {
      if (sameBytes(new Uint8Array(readFileSync(path)), bytes)) return;
      if (role === 'root') {
        throw new KeysteadError('firmware.tuf-version', { field: path, seen: 'another content under this version' });
      }
    }
    removeUnfinished(path);
    durableWrite(path, bytes, MODE);
  }

  /** Where a target is given out. */
  targetPath(path: string, { hashes }: Pick<TufTarget, 'hashes'>): string {
    const at = path.lastIndexOf('/') + 1;
    return join(this.#dir, 'targets', path.slice(0, at), `${hashes.sha256}.${path.slice(at)}`);
  }

  /** Whether the target is there with the length and hash that it shall have. */
  async holds(path: string, target: TufTarget): Promise<boolean> {
    const file = this.targetPath(path, target);
    if (statSync(file, { throwIfNoEntry: false })?.size !== target.length) return false;
    const hash = createHash('sha256');
    for await (const piece of createReadStream(file)) hash.update(piece);
    return hash.digest('hex') === target.hashes.sha256;
  }

  #named<R extends 'snapshot' | 'targets'>(role: R, file: ReturnType<typeof fileOf>): Published<R> {
    const found = this.read(role, file.version);
    if (fileOf(file.version, found.bytes).hashes.sha256 === file.hashes.sha256) return found;
    throw new KeysteadError('firmware.tuf-repository', {
      field: `${file.version}.${role}.json`,
      seen: 'another hash than is signed',
    });
  }

  #metadata(name: string): string {
    return join(this.#dir, 'metadata', name);
  }
}
