import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();

/**
 * REQ-KEY-ROT-02: how far each ring is, kept with each change of a device, so that nobody counts a fleet to look at a
 * campaign; and devices that cannot move any more, which hold no ring up.
 */
export function rotationCounts({ builder, types: { text, integer }, keyedTableEnd }: Dialect): Compilable<unknown>[] {
  const { schema } = builder;
  return [
    schema.alterTable('rotation_device').addColumn('lost_at', integer),
    schema
      .createTable('rotation_count')
      .addColumn('campaign', text, (column) => column.notNull().references('rotation_campaign.id'))
      .addColumn('ring', integer, required)
      .addColumn('devices', integer, required)
      .addColumn('done', integer, required)
      .addColumn('failed', integer, required)
      .addColumn('lost', integer, required)
      .addPrimaryKeyConstraint('rotation_count_key', ['campaign', 'ring'])
      .modifyEnd(keyedTableEnd),
    // What was counted at each look until now.
    builder
      .insertInto('rotation_count')
      .columns(['campaign', 'ring', 'devices', 'done', 'failed', 'lost'])
      .expression((from) =>
        from
          .selectFrom('rotation_device')
          .select((eb) => [
            'campaign',
            'ring',
            eb.fn.countAll<number>().as('devices'),
            eb.fn.count<number>('done_at').as('done'),
            eb.fn.count<number>('failed_at').as('failed'),
            sql<number>`0`.as('lost'),
          ])
          .where((eb) => eb.or([eb('insisted', '=', sql<number>`0`), eb('done_at', 'is not', null)]))
          .groupBy(['campaign', 'ring']),
      ),
  ];
}
