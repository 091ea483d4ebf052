import { type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

/** Further ways to a key. A CHECK cannot be changed in place: the column is made again, with what stood in it. */
export function deviceKeyWays({ builder, types: { text } }: Dialect): Compilable<unknown>[] {
  const { schema } = builder;
  return [
    schema
      .alterTable('device')
      .addColumn('key_way', text, (column) =>
        column
          .notNull()
          .defaultTo('proof-of-possession')
          .check(sql`key_way in ('proof-of-possession', 'tpm2-attested', 'secure-element', 'injected')`),
      ),
    { compile: () => sql`update device set key_way = key_origin`.compile(builder) },
    schema.alterTable('device').dropColumn('key_origin'),
    schema.alterTable('device').renameColumn('key_way', 'key_origin'),
  ];
}
