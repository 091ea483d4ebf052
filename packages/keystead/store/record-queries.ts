import type { Dialect } from './dialect.ts';
import { compileQuery } from './query.ts';
import { recordSelection } from './rows.ts';

/** Part of the records: those of a batch by device id, and those of a time by time. */
export function recordQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const record = recordSelection(dialect);
  return {
    recordsOfTicket: query<{ ticketId: string; after: string; from: number; to: number; count: number }>()((q, a) =>
      q
        .selectFrom('provisioning_record')
        .select(record)
        .where('ticket_id', '=', a.ticketId)
        .where('device_id', '>', a.after)
        .where('created_at', '>=', a.from)
        .where('created_at', '<', a.to)
        .orderBy('device_id')
        .limit(a.count),
    ),
    recordsByTime: query<{ at: number; atAgain: number; after: string; to: number; count: number }>()((q, a) =>
      q
        .selectFrom('provisioning_record')
        .select(record)
        .where('created_at', '>=', a.at)
        .where((eb) => eb.or([eb('created_at', '>', a.atAgain), eb('device_id', '>', a.after)]))
        .where('created_at', '<', a.to)
        .orderBy('created_at')
        .orderBy('device_id')
        .limit(a.count),
    ),
  };
}
