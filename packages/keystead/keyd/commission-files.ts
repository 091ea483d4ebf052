import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { durableWrite } from '../files/durable.ts';
import type { FactoryJournalEntry } from './factory-entry.ts';

type Named = Pick<FactoryJournalEntry, 'factory' | 'number' | 'commissionSha256'>;

/** The files of commissions in keyd's own directory: the journal has the hash of each that counts. */
export class CommissionFiles {
  readonly #dir: string;

  /** @param keyd keyd's own directory. */
  constructor(keyd: string) {
    this.#dir = join(keyd, 'factories');
  }

  /** Durable when it returns. One of an attempt that came to nothing is written over: no journal names it. */
  write({ factory, number }: Omit<Named, 'commissionSha256'>, text: string): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    durableWrite(this.#path(factory, number), text, 0o600);
  }

  /** @throws KeysteadError `commission.file-lost` when the file is gone or another than the journal names. */
  read({ factory, number, commissionSha256 }: Named): string {
    const path = this.#path(factory, number);
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (cause) {
      throw new KeysteadError('commission.file-lost', { field: path, seen: 'no readable file', cause });
    }
    const seen = toHex(sha256(bytes));
    if (seen !== commissionSha256) throw new KeysteadError('commission.file-lost', { field: path, seen });
    return Buffer.from(bytes).toString('utf8');
  }

  #path(factory: string, number: number): string {
    return join(this.#dir, `${factory}-${number}.json`);
  }
}

/** SHA-256 of a commission's file, hex. */
export const commissionFileSha256 = (text: string): string => toHex(sha256(Buffer.from(text, 'utf8')));
