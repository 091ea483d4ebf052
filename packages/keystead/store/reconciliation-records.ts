import type { Serial } from '@keystead/core/bytes';
import type { Queries } from './queries.ts';
import type { ConsignmentRow, OutboxRow, QuarantinedRow } from './reconciliation-rows.ts';
import type { QuarantineState } from './reconciliation-schema.ts';
import type { Prepared } from './statement.ts';

/** What the records say of reconciliation between factory nodes and headquarters. */
export class ReconciliationReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  /** The receipt for a consignment that headquarters has recorded. */
  receipt(factory: string, sha256: string): string | undefined {
    return this.statements.receiptOf.first({ factory, sha256 })?.receipt;
  }

  quarantined(factory: string, serial: Serial): QuarantinedRow | undefined {
    return this.statements.quarantinedUnit.first({ factory, serial });
  }

  quarantinedOfDevice(deviceId: string): QuarantinedRow[] {
    return this.statements.quarantinedOfDevice.all({ deviceId });
  }

  /** Whether a certificate of this node was signed and given to nobody. */
  isAbandoned(serial: Serial): boolean {
    return this.statements.abandonedCertificate.first({ serial }) !== undefined;
  }

  /** The last consignment of this node. */
  lastOutbox(): OutboxRow | undefined {
    return this.statements.lastOutbox.first({});
  }

  outbox(number: number): OutboxRow | undefined {
    return this.statements.outbox.first({ number });
  }

  /** Consignments of this node that headquarters has given no receipt for, from the one after `after` on. */
  waiting(after: number, count: number): OutboxRow[] {
    return this.statements.waitingOutbox.all({ after, count });
  }

  /** How many consignments this node has made, how many are settled, and when the last one was. */
  progress(): { made: number; settled: number; units: number; settledAt: number | null } {
    const found = this.statements.countOutbox.first({});
    return {
      made: found?.made ?? 0,
      settled: found?.settled ?? 0,
      units: Number(found?.units ?? 0),
      settledAt: found?.settledAt ?? null,
    };
  }

  /** The units of this node that headquarters has given no receipt for, and when the oldest of them was consigned (ms). */
  unsettled(): { units: number; since: number | null } {
    const found = this.statements.unsettledOutbox.first({});
    return { units: Number(found?.units ?? 0), since: found?.since ?? null };
  }
}

export class ReconciliationWriter extends ReconciliationReader {
  insertConsignment(row: ConsignmentRow): void {
    this.statements.insertConsignment.run(row);
  }

  insertQuarantined(row: QuarantinedRow): void {
    this.statements.insertQuarantined.run(row);
  }

  setQuarantine(factory: string, serial: Serial, state: QuarantineState, changedAt: number): void {
    this.statements.setQuarantine.run({ factory, serial, state, changedAt });
  }

  setIdevid(row: Parameters<Prepared<Queries>['setIdevid']['run']>[0]): void {
    this.statements.setIdevid.run(row);
  }

  replaceRecord(row: Parameters<Prepared<Queries>['replaceRecord']['run']>[0]): void {
    this.statements.replaceRecord.run(row);
  }

  moveKey(row: Parameters<Prepared<Queries>['moveKey']['run']>[0]): void {
    this.statements.moveKey.run(row);
  }

  insertOutbox(row: OutboxRow): void {
    this.statements.insertOutbox.run(row);
  }

  /** @returns whether it was not settled before. */
  settle(number: number, receipt: string, settledAt: number): boolean {
    return this.statements.settleOutbox.run({ number, receipt, settledAt }) === 1;
  }
}
