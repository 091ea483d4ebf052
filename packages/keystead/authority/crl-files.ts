import { createHash } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { StagedFile } from '../files/staged.ts';
import type { Result } from '../keyd-client/index.ts';
import type { CrlRow } from '../store/index.ts';

/** Everybody may read what everybody may fetch. */
const MODE = 0o644;

/** Where keyd put a CRL that is too long for an answer. */
export type CrlFileOf = (name: string) => string;

/** The directory from which CRLs are served, `<list>.crl`, DER. */
export class CrlFiles {
  readonly #dir: string;
  readonly #fileOf: CrlFileOf;

  constructor(dir: string, fileOf: CrlFileOf) {
    this.#dir = dir;
    this.#fileOf = fileOf;
  }

  /**
   * Takes a CRL over from keyd, durable beside the one that is served.
   * @throws KeysteadError `crl.file-differs` when it is not what keyd told over its channel; Error of node:fs.
   */
  async stage(list: string, signed: Pick<Result<'signCrl'>, 'crl' | 'file' | 'bytes' | 'sha256'>): Promise<StagedFile> {
    const path = this.path(list);
    const staged =
      signed.file === undefined
        ? await StagedFile.write(path, [signed.crl], { mode: MODE })
        : await StagedFile.copy(this.#fileOf(signed.file), path, { mode: MODE });
    if (staged.sha256 === signed.sha256 && staged.bytes === signed.bytes) return staged;
    staged.discard();
    throw new KeysteadError('crl.file-differs', { field: list, seen: `${staged.bytes} bytes, ${staged.sha256}` });
  }

  /** Whether what is served is what the records say. */
  async isInPlace({ list, sha256 }: CrlRow): Promise<boolean> {
    const hash = createHash('sha256');
    try {
      for await (const chunk of createReadStream(this.path(list))) hash.update(chunk);
    } catch {
      return false;
    }
    return hash.digest('hex') === sha256;
  }

  remove(list: string): void {
    rmSync(this.path(list), { force: true });
  }

  path(list: string): string {
    return join(this.#dir, `${list}.crl`);
  }
}
