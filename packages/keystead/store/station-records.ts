import type { Queries } from './queries.ts';
import type { Ticket } from './rows.ts';
import type { Prepared } from './statement.ts';
import type { StationResultRow, StationSignOnRow } from './station-rows.ts';

/** How many units a station brought, and how they went. */
export interface StationCounts {
  readonly pass: number;
  readonly fail: number;
}

/** What can be asked of the records of stations. Times are milliseconds since 1970. */
export class StationReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  signOn(sha256: string): StationSignOnRow | undefined {
    return this.statements.signOn.first({ sha256 });
  }

  /** The sign-on that holds at a station. */
  signOnAt(station: string, now: number): StationSignOnRow | undefined {
    return this.statements.signOnAt.first({ station, now });
  }

  /** Up to `count` sign-ons that hold, by station. */
  signOnsOpen(now: number, count: number): StationSignOnRow[] {
    return this.statements.signOnsOpen.all({ now, count });
  }

  counts(station: string, since: number): StationCounts {
    const of = (passed: number): number => this.statements.resultsSince.first({ station, since, passed })?.count ?? 0;
    return { pass: of(1), fail: of(0) };
  }

  /** What became of a device when a station brought it last. */
  lastResult(deviceId: string): StationResultRow | undefined {
    return this.statements.lastResult.first({ deviceId });
  }

  /** Up to `count` batches that have not ended, the newest first. */
  ticketsOpen(now: number, count: number): Ticket[] {
    return this.statements.ticketsOpen.all({ now, count });
  }

  ticketsLately(count: number): Ticket[] {
    return this.statements.ticketsLately.all({ count });
  }
}

export class StationWriter extends StationReader {
  insertSignOn(row: StationSignOnRow): void {
    this.statements.insertSignOn.run(row);
  }

  endSignOn(sha256: string, endedAt: number, endedBy: string): void {
    this.statements.endSignOn.run({ sha256, endedAt, endedBy });
  }

  insertResult(row: StationResultRow): void {
    this.statements.insertResult.run(row);
  }
}
