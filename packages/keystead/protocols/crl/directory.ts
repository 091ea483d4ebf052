import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { CRL_WINDOW_BYTES, readCrlWindow } from '@keystead/core/x509';

/** How long a file is taken to be the one that was read, unless `published` says otherwise. */
const LOOK_AGAIN_MS = 1000;
/** Longer ones stay on the disk: most lists are short, and a few long ones are no reason to hold them twice. */
const MOST_IN_MEMORY = 1024 * 1024;
/** Names of lists: roles, partitions, deltas. Never a path, and no file of a write under way. */
const NAME = /^[a-z0-9][a-z0-9.-]{0,127}$/;

/** A CRL as it is served. */
export interface ServedCrl {
  /** Octets of its DER. */
  readonly length: number;
  readonly etag: string;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** Its DER, for one that is short. */
  readonly der?: Buffer;
  /**
   * Opens the file of a long one; the caller closes it. Undefined when another was put in its place meanwhile: look
   * for the current one again.
   */
  open(): Promise<FileHandle | undefined>;
}

interface Kept {
  readonly crl: ServedCrl;
  /** Identifies the file's contents: a CRL is replaced by renaming, which makes a new inode. */
  readonly version: string;
  lookedAtMs: number;
}

/**
 * The CRLs in a directory, `<list>.crl`, DER. What is to be known of each is kept in memory and read again when its file
 * is another one: the roots' CRLs come from a ceremony, those of the online CAs from the authority, and none needs a
 * restart.
 */
export class CrlDirectory {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  /** Counts publications, so that what was read before one is not taken for what came after. */
  #publications = 0;

  constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
  }

  /** The CRLs of this issuer were replaced: the next answer has the new ones. */
  published(issuer: string): void {
    this.#publications += 1;
    for (const [list, kept] of this.#kept)
      if (list === issuer || list.startsWith(`${issuer}-`)) kept.lookedAtMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * The CRL of this list, or undefined when there is none.
   * @throws KeysteadError `crl.malformed` for a file that is not a CRL.
   */
  async current(list: string): Promise<ServedCrl | undefined> {
    if (!NAME.test(list)) return undefined;
    const now = this.#clock.now().getTime();
    const kept = this.#kept.get(list);
    if (kept !== undefined && Math.abs(now - kept.lookedAtMs) < LOOK_AGAIN_MS) return kept.crl;
    const publications = this.#publications;
    const lookedAtMs = (): number => (publications === this.#publications ? now : Number.NEGATIVE_INFINITY);
    const file = await this.#open(list);
    if (file === undefined) {
      this.#kept.delete(list);
      return undefined;
    }
    try {
      const stats = await file.stat();
      const version = versionOf(stats);
      if (kept !== undefined && kept.version === version) {
        kept.lookedAtMs = lookedAtMs();
        return kept.crl;
      }
      const crl = await this.#read(list, file, stats);
      this.#kept.set(list, { crl, version, lookedAtMs: lookedAtMs() });
      return crl;
    } finally {
      await file.close();
    }
  }

  async #read(list: string, file: FileHandle, stats: Stats): Promise<ServedCrl> {
    const hash = createHash('sha256');
    const pieces: Buffer[] = [];
    let head: Buffer = Buffer.alloc(0);
    for await (const piece of file.createReadStream({ autoClose: false, start: 0, highWaterMark: 256 * 1024 })) {
      hash.update(piece);
      if (head.length < CRL_WINDOW_BYTES) head = Buffer.concat([head, piece.subarray(0, CRL_WINDOW_BYTES)]);
      if (stats.size <= MOST_IN_MEMORY) pieces.push(piece);
    }
    const version = versionOf(stats);
    return {
      length: stats.size,
      // A strong entity tag: the first half of the SHA-256, as `etagOf` makes it of what is in memory.
      etag: `"${hash.digest('hex').slice(0, 32)}"`,
      ...readCrlWindow(head.subarray(0, CRL_WINDOW_BYTES), stats.size),
      ...(stats.size <= MOST_IN_MEMORY && { der: Buffer.concat(pieces) }),
      open: async () => {
        const again = await this.#open(list);
        if (again === undefined || versionOf(await again.stat()) === version) return again;
        await again.close();
        this.published(list);
        return undefined;
      },
    };
  }

  async #open(list: string): Promise<FileHandle | undefined> {
    try {
      return await open(join(this.#dir, `${list}.crl`), 'r');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }
}

const versionOf = ({ ino, size, mtimeMs }: Stats): string => `${ino} ${size} ${mtimeMs}`;
