import {
  type ColumnDataType,
  DummyDriver,
  Kysely,
  type RawBuilder,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely';
import type { Schema } from './schema.ts';

/** What differs between databases. The queries and migrations are written once and compiled for one of these. */
export interface Dialect {
  /** A kysely that compiles and cannot execute: statements are run by the store itself. */
  readonly builder: Kysely<Schema>;
  readonly types: { readonly text: ColumnDataType; readonly integer: ColumnDataType; readonly bytes: ColumnDataType };
  /** Bytes of a column as lower-case hex, null as null. */
  hex<T extends string | null>(column: string): RawBuilder<T>;
  /** What stands after the columns of a table. */
  readonly tableEnd: RawBuilder<unknown>;
  /** The same for a table that is looked up only by its primary key. */
  readonly keyedTableEnd: RawBuilder<unknown>;
}

/** SQLite: STRICT tables, so that a column's type is a promise and not a hint (sqlite.org/stricttables.html). */
export function sqliteDialect(): Dialect {
  return {
    builder: new Kysely<Schema>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    }),
    types: { text: 'text', integer: 'integer', bytes: 'blob' },
    hex: (column) => sql`nullif(lower(hex(${sql.ref(column)})), '')`,
    tableEnd: sql`strict`,
    keyedTableEnd: sql`strict, without rowid`,
  };
}
