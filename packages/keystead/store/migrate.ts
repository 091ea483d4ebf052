import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import { MIGRATIONS, type Migration } from './migrations.ts';

/**
 * Applies the migrations that the database does not have, all in one transaction: it is at the old version or
 * at the new one, never between.
 * @throws KeysteadError `store.newer` when it has one that this program does not know.
 */
export function migrate(
  database: DatabaseSync,
  dialect: Dialect,
  clock: Clock,
  migrations: readonly Migration[] = MIGRATIONS,
): void {
  database.exec('begin immediate');
  try {
    database.exec(migrationTable(dialect));
    const at = Number(database.prepare('select coalesce(max(version), 0) as version from migration').get()?.version);
    const latest = migrations.at(-1)?.version ?? 0;
    if (at > latest) {
      throw new KeysteadError('store.newer', {
        field: 'migration',
        seen: `version ${at}, this program knows ${latest}`,
      });
    }
    const done = database.prepare('insert into migration (version, name, applied_at) values (?, ?, ?)');
    for (const migration of migrations.filter(({ version }) => version > at)) {
      for (const statement of migration.statements(dialect)) database.exec(statement.compile().sql);
      done.run(migration.version, migration.name, clock.now().getTime());
    }
    database.exec('commit');
  } catch (error) {
    if (database.isTransaction) database.exec('rollback');
    throw error;
  }
}

function migrationTable({ builder, types, tableEnd }: Dialect): string {
  return builder.schema
    .createTable('migration')
    .ifNotExists()
    .addColumn('version', types.integer, (column) => column.notNull().primaryKey())
    .addColumn('name', types.text, (column) => column.notNull())
    .addColumn('applied_at', types.integer, (column) => column.notNull())
    .addCheckConstraint('migration_version', sql`version > 0`)
    .modifyEnd(tableEnd)
    .compile().sql;
}
