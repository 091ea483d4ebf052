import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const STATES = sql`state in ('planned', 'distributing', 'switched', 'retiring', 'retired', 'paused', 'rolled-back', 'aborted')`;
const ENDED = sql`(state in ('retired', 'rolled-back', 'aborted')) = (ended_at is not null)`;
const OPEN = sql<boolean>`ended_at is null`;

/** REQ-KEY-ROT-02: rotation campaigns, their rings, and the uptake of each device. */
export function rotationCampaigns({
  builder: { schema },
  types: { text, integer, bytes },
  tableEnd,
  keyedTableEnd,
}: Dialect) {
  const statements: Compilable<unknown>[] = [
    schema
      .createTable('rotation_campaign')
      .addColumn('id', text, key)
      .addColumn('kind', text, required)
      .addColumn('target', text, required)
      .addColumn('state', text, required)
      .addColumn('was', text)
      .addColumn('pause_reason', text)
      .addColumn('plan', text, required)
      .addColumn('plan_sha256', bytes, required)
      .addColumn('rings_open', integer, required)
      .addColumn('statements', text)
      .addColumn('actor', text, required)
      .addColumn('request_id', text, required)
      .addColumn('planned_at', integer, required)
      .addColumn('started_at', integer)
      .addColumn('switched_at', integer)
      .addColumn('retiring_at', integer)
      .addColumn('ended_at', integer)
      .addColumn('changed_at', integer, required)
      .addCheckConstraint('rotation_campaign_state', STATES)
      .addCheckConstraint('rotation_campaign_ended', ENDED)
      .addCheckConstraint('rotation_campaign_paused', sql`(state = 'paused') = (was is not null)`)
      .modifyEnd(tableEnd),
    // One thing is rotated by one campaign at a time.
    schema
      .createIndex('rotation_campaign_open')
      .unique()
      .on('rotation_campaign')
      .columns(['kind', 'target'])
      .where(OPEN),
    schema
      .createTable('rotation_device')
      .addColumn('campaign', text, (column) => column.notNull().references('rotation_campaign.id'))
      .addColumn('device_id', text, (column) => column.notNull().references('device.device_id'))
      .addColumn('ring', integer, required)
      .addColumn('insisted', integer, required)
      .addColumn('done_at', integer)
      .addColumn('failure', text)
      .addColumn('failed_at', integer)
      .addPrimaryKeyConstraint('rotation_device_key', ['campaign', 'device_id'])
      .addCheckConstraint('rotation_device_insisted', sql`insisted in (0, 1)`)
      .modifyEnd(keyedTableEnd),
    // Which campaigns a device belongs to, when it asks.
    schema.createIndex('rotation_device_id').on('rotation_device').column('device_id'),
    schema
      .createTable('rotation_ring')
      .addColumn('campaign', text, (column) => column.notNull().references('rotation_campaign.id'))
      .addColumn('ring', integer, required)
      .addColumn('opened_at', integer, required)
      .addColumn('window_end', integer, required)
      .addPrimaryKeyConstraint('rotation_ring_key', ['campaign', 'ring'])
      .modifyEnd(keyedTableEnd),
  ];
  return statements;
}
