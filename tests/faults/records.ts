import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parsePolicy } from '@keystead/core/lifecycle';
import { type AuditEntry, parseEntry } from 'keystead/audit/index.ts';
import { systemClock } from 'keystead/clock/system.ts';
import type { Layout } from 'keystead/files/layout.ts';
import { Inventory } from 'keystead/inventory/index.ts';
import { readOnly } from 'keystead/store/index.ts';

/** What the records of a deployment say. */
export interface Records {
  readonly certificates: Record<string, unknown>[];
  readonly orphans: Record<string, unknown>[];
  readonly devices: Record<string, unknown>[];
  readonly units: Record<string, unknown>[];
  readonly entries: AuditEntry[];
  readonly keyRows: Record<string, unknown>[];
  readonly keyEvents: Record<string, unknown>[];
  readonly keys: ReadonlySet<string>;
}

/** Rows of the database, read beside the running service, all of the same moment. */
export function readRecords(layout: Layout): Records {
  const database = new DatabaseSync(layout.database, { readOnly: true, timeout: 5000 });
  try {
    database.exec('begin');
    const rows = (sql: string): Record<string, unknown>[] => database.prepare(sql).all();
    return {
      certificates: rows(
        'select issuer, hex(serial) as serial, profile, device_id as device, hex(spki_sha256) as spki, der, status from certificate',
      ),
      orphans: rows('select issuer, hex(serial) as serial, profile, fate from journal_certificate'),
      devices: rows('select device_id as device, state, ticket_id as ticket from device'),
      units: rows('select device_id as device, ticket_id as ticket, record from provisioning_record'),
      entries: rows('select bytes from audit_entry order by seq').map(({ bytes }) => parseEntry(bytes as Uint8Array)),
      keyRows: rows('select id, state from key'),
      keyEvents: rows('select key_id as id, event, at, audit_seq as seq from key_event order by key_id, n'),
      // Read after the certificates: what has a certificate has a record, whatever was issued since.
      keys: keysIn(layout),
    };
  } finally {
    database.close();
  }
}

/** The SPKI hashes of the inventory, as it is read without the service. */
function keysIn(layout: Layout): Set<string> {
  const policy = parsePolicy(readFileSync(layout.policy));
  return readOnly(layout.database, (reader) => {
    const keys = [...new Inventory(reader, policy, systemClock.now()).all({})];
    return new Set(keys.map(({ spkiSha256 }) => spkiSha256 ?? ''));
  });
}
