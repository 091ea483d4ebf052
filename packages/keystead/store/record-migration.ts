import type { Compilable } from 'kysely';
import type { Dialect } from './dialect.ts';

/** REQ-KEY-PROV-02: records are looked through by batch and by date, a page at a time, and not only one by one. */
export function recordIndexes({ builder: { schema } }: Dialect): Compilable<unknown>[] {
  return [
    schema.createIndex('provisioning_record_of_ticket').on('provisioning_record').columns(['ticket_id', 'device_id']),
    schema.createIndex('provisioning_record_by_time').on('provisioning_record').columns(['created_at', 'device_id']),
  ];
}
