import { sameBytes } from '@keystead/core/bytes';
import { leafHash } from '@keystead/core/log';
import type { AuditReader, AuditRow } from '../append.ts';
import type { Findings } from './faults.ts';
import { textOf } from './milestones.ts';

const PAGE = 1_024;

/** Compares the rows of the database with the published entries, one by one. */
export class DatabaseCheck {
  readonly #stored: AuditReader;
  #bad: { readonly index: number; readonly row: AuditRow | undefined } | undefined;
  #failure: string | undefined;
  rows = 0;
  /** Rows behind the head. */
  unpublished = 0;

  constructor(stored: AuditReader) {
    this.#stored = stored;
  }

  /** @param hashes leaf hashes of the published entries from `from` on; undefined for one that cannot be read. */
  async compare(from: number, hashes: readonly (Uint8Array | undefined)[]): Promise<void> {
    const rows = await this.#read(from, hashes.length);
    this.rows += rows.length;
    for (const [i, hash] of hashes.entries()) {
      if (this.#bad !== undefined || this.#failure !== undefined || hash === undefined) continue;
      const row = rows[i];
      const same = row?.seq === from + i && sameBytes(leafHash(row.bytes), hash) && sameBytes(row.leafHash, hash);
      if (!same) this.#bad = { index: from + i, row };
    }
  }

  /** Counts what is behind the head. */
  async beyond(size: number): Promise<void> {
    for (let from = size; ; from += PAGE) {
      const { length } = await this.#read(from, PAGE);
      this.unpublished += length;
      this.rows += length;
      if (length < PAGE) return;
    }
  }

  /** @param firstBad the first published entry that is not the signed one, or infinity. */
  conclude(firstBad: number, findings: Findings): void {
    if (this.#failure !== undefined) findings.add('database-unreadable', this.#failure);
    if (this.#bad === undefined) return;
    const { index, row } = this.#bad;
    // Where the published entry is the bad one, the database may well be right.
    const published = index >= firstBad ? 'which is itself not the signed one' : 'which is the signed one';
    findings.add(
      row?.seq === index ? 'database-differs' : 'database-dropped',
      `compared with the published entry, ${published}`,
      { index },
    );
  }

  async #read(from: number, count: number): Promise<readonly AuditRow[]> {
    if (this.#failure !== undefined) return [];
    try {
      return await this.#stored.auditEntries(from, count);
    } catch (error) {
      this.#failure = textOf(error);
      return [];
    }
  }
}
