import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, sql } from 'kysely';
import { type Dialect, sqliteDialect } from '../dialect.ts';
import { MIGRATIONS } from '../migrations.ts';
import { compileQueries } from '../queries.ts';
import type { Schema } from '../schema.ts';

/** PostgreSQL as it would be described: the queries and migrations must not know which database they are for. */
const postgres: Dialect = {
  builder: new Kysely<Schema>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  }),
  types: { text: 'text', integer: 'bigint', bytes: 'bytea' },
  hex: (column) => sql`encode(${sql.ref(column)}, 'hex')`,
  tableEnd: sql``,
  keyedTableEnd: sql``,
};

test('every query and migration compiles for SQLite and for PostgreSQL, with the same arguments', () => {
  const here = compileQueries(sqliteDialect());
  const there = compileQueries(postgres);
  for (const name of Object.keys(here) as (keyof typeof here)[]) {
    const count = (text: string, mark: RegExp) => text.match(mark)?.length ?? 0;
    assert.equal(count(here[name].sql, /\?/g), count(there[name].sql, /\$\d+/g), name);
  }
  for (const migration of MIGRATIONS) {
    for (const statement of migration.statements(postgres)) {
      const { sql: text, parameters } = statement.compile();
      assert.doesNotMatch(text, /blob|strict|rowid/i);
      assert.deepEqual(parameters, []);
    }
  }
});

test('a compiled query takes its arguments by name, hex as bytes, and what is not given as null', () => {
  const { setStatus } = compileQueries(sqliteDialect());
  const bound = setStatus.bind({
    issuer: 'server',
    serial: '0a0b' as never,
    status: 'good',
    revokedAt: null,
    reason: null,
  });
  assert.deepEqual(bound, ['good', null, null, null, new Uint8Array([0x0a, 0x0b]), 'server', 'revoked']);
});
