import { type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

/** Devices from before attestation proved that they possess their key, and nothing of where it is. */
export function deviceKeyOrigin({ builder: { schema }, types: { text } }: Dialect): Compilable<unknown>[] {
  return [
    schema
      .alterTable('device')
      .addColumn('key_origin', text, (column) =>
        column
          .notNull()
          .defaultTo('proof-of-possession')
          .check(sql`key_origin in ('proof-of-possession', 'tpm2-attested')`),
      ),
  ];
}
