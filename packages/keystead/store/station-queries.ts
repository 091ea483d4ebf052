import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';
import { TICKET } from './rows.ts';
import * as rows from './station-rows.ts';

/** The queries of stations. */
export function stationQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const signOn = rows.signOnSelection(dialect);
  const result = rows.resultSelection(dialect);
  return {
    insertSignOn: query<rows.StationSignOnRow>()((q, a) =>
      q.insertInto('station_sign_on').values(rows.signOnColumns(a)),
    ),
    signOn: query<{ sha256: string }>()((q, a) =>
      q.selectFrom('station_sign_on').select(signOn).where('sha256', '=', bytesOf(a.sha256)),
    ),
    /** The one that holds now at a station; the newest, should there be two. */
    signOnAt: query<{ station: string; now: number }>()((q, a) =>
      q
        .selectFrom('station_sign_on')
        .select(signOn)
        .where('station', '=', a.station)
        .where('not_after', '>', a.now)
        .where('ended_at', 'is', null)
        .orderBy('signed_on_at', 'desc')
        .limit(1),
    ),
    signOnsOpen: query<{ now: number; count: number }>()((q, a) =>
      q
        .selectFrom('station_sign_on')
        .select(signOn)
        .where('not_after', '>', a.now)
        .where('ended_at', 'is', null)
        .orderBy('station')
        .limit(a.count),
    ),
    endSignOn: query<{ sha256: string; endedAt: number; endedBy: string }>()((q, a) =>
      q
        .updateTable('station_sign_on')
        .set({ ended_at: a.endedAt, ended_by: a.endedBy })
        .where('sha256', '=', bytesOf(a.sha256))
        .where('ended_at', 'is', null),
    ),
    insertResult: query<rows.StationResultRow>()((q, a) =>
      q.insertInto('station_result').values(rows.resultColumns(a)),
    ),
    resultsSince: query<{ station: string; since: number; passed: number }>()((q, a) =>
      q
        .selectFrom('station_result')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('station', '=', a.station)
        .where('at', '>=', a.since)
        .where('passed', '=', a.passed),
    ),
    lastResult: query<{ deviceId: string }>()((q, a) =>
      q.selectFrom('station_result').select(result).where('device_id', '=', a.deviceId).orderBy('at', 'desc').limit(1),
    ),
    /** The batches that have not ended, the newest first. */
    ticketsOpen: query<{ now: number; count: number }>()((q, a) =>
      q.selectFrom('ticket').select(TICKET).where('not_after', '>', a.now).orderBy('opened_at', 'desc').limit(a.count),
    ),
    /** All, the newest first: what has ended says why a unit of it gets nothing. */
    ticketsLately: query<{ count: number }>()((q, a) =>
      q.selectFrom('ticket').select(TICKET).orderBy('opened_at', 'desc').limit(a.count),
    ),
  };
}
