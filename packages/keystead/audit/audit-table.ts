import { DatabaseSync } from 'node:sqlite';
import type { AuditReader, AuditRow } from './append.ts';

/**
 * The log's table in a database file, read only and apart from the store: an auditor takes nothing from the program
 * that wrote it, and a running service is not disturbed.
 */
export class AuditTable implements AuditReader {
  readonly #database: DatabaseSync;

  /** @throws Error of node:sqlite when the file is no database. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 });
  }

  /** As AuditReader. Rows that are not of the form of an entry's come out empty, so that they differ from any. */
  auditEntries(from: number, count: number): AuditRow[] {
    const rows = this.#database
      .prepare('select seq, leaf_hash, bytes from audit_entry where seq >= ? order by seq limit ?')
      .all(from, count);
    return rows.map(({ seq, leaf_hash, bytes }) => ({
      seq: typeof seq === 'number' ? seq : -1,
      leafHash: leaf_hash instanceof Uint8Array ? leaf_hash : new Uint8Array(),
      bytes: bytes instanceof Uint8Array ? bytes : new Uint8Array(),
    }));
  }

  close(): void {
    this.#database.close();
  }
}
