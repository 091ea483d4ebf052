import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import type { IssuerName } from '@keystead/core/lifecycle';
import { readCrlTimes } from '@keystead/core/x509';
import { etagOf } from '../http/etag.ts';

/** How long a file is taken to be the one that was read, unless `published` says otherwise. */
const LOOK_AGAIN_MS = 1000;

/** A CRL as it is served. */
export interface ServedCrl {
  readonly der: Buffer;
  readonly etag: string;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

interface Kept {
  readonly crl: ServedCrl;
  /** Identifies the file's contents: a CRL is replaced by renaming, which makes a new inode. */
  readonly version: string;
  lookedAtMs: number;
}

/**
 * The CRLs in a directory, `<role>.crl`, DER. Each is kept in memory and read again when its file is another one:
 * the roots' CRLs come from a ceremony, those of the online CAs from the authority, and none needs a restart.
 */
export class CrlDirectory {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #kept = new Map<IssuerName, Kept>();
  /** Counts publications, so that what was read before one is not taken for what came after. */
  #publications = 0;

  constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
  }

  /** The CRL of this CA was replaced: the next answer has the new one. */
  published(role: IssuerName): void {
    this.#publications += 1;
    const kept = this.#kept.get(role);
    if (kept !== undefined) kept.lookedAtMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * The CRL of this CA, or undefined when there is none.
   * @throws KeysteadError `crl.malformed` for a file that is not a CRL.
   */
  async current(role: IssuerName): Promise<ServedCrl | undefined> {
    const now = this.#clock.now().getTime();
    const kept = this.#kept.get(role);
    if (kept !== undefined && Math.abs(now - kept.lookedAtMs) < LOOK_AGAIN_MS) return kept.crl;
    const path = join(this.#dir, `${role}.crl`);
    const publications = this.#publications;
    const lookedAtMs = () => (publications === this.#publications ? now : Number.NEGATIVE_INFINITY);
    try {
      const version = await versionOf(path);
      if (kept !== undefined && kept.version === version) {
        kept.lookedAtMs = lookedAtMs();
        return kept.crl;
      }
      const der = await readFile(path);
      const crl = { der, etag: etagOf(der), ...readCrlTimes(der) };
      // When the file was replaced between the two calls, its version is the older one, and it is soon read again.
      this.#kept.set(role, { crl, version, lookedAtMs: lookedAtMs() });
      return crl;
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error;
      this.#kept.delete(role);
      return undefined;
    }
  }
}

async function versionOf(path: string): Promise<string> {
  const { ino, size, mtimeNs } = await stat(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
