import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import { sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';
import * as rows from './reconciliation-rows.ts';
import type { QuarantineState } from './reconciliation-schema.ts';
import type { KeyOriginName } from './schema.ts';

type Named = { factory: string; serial: Serial };

/** The queries of reconciliation: what a node sends, and what headquarters has taken. */
export function reconciliationQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const quarantined = rows.quarantinedSelection(dialect);
  const outbox = rows.outboxSelection(dialect);
  return {
    // ---- headquarters
    insertConsignment: query<rows.ConsignmentRow>()((q, a) =>
      q
        .insertInto('consignment')
        .values(rows.consignmentColumns(a))
        .onConflict((conflict) => conflict.doNothing()),
    ),
    receiptOf: query<{ factory: string; sha256: string }>()((q, a) =>
      q
        .selectFrom('consignment')
        .select(['number', 'receipt'])
        .where('factory', '=', a.factory)
        .where('sha256', '=', bytesOf(a.sha256)),
    ),
    insertQuarantined: query<rows.QuarantinedRow>()((q, a) =>
      q.insertInto('quarantined_unit').values(rows.quarantinedColumns(a)),
    ),
    quarantinedUnit: query<Named>()((q, a) =>
      q
        .selectFrom('quarantined_unit')
        .select(quarantined)
        .where('factory', '=', a.factory)
        .where('serial', '=', bytesOf(a.serial)),
    ),
    quarantinedOfDevice: query<{ deviceId: string }>()((q, a) =>
      q
        .selectFrom('quarantined_unit')
        .select(quarantined)
        .where('device_id', '=', a.deviceId)
        .orderBy('found_at')
        .orderBy('serial'),
    ),
    setQuarantine: query<Named & { state: QuarantineState; changedAt: number }>()((q, a) =>
      q
        .updateTable('quarantined_unit')
        .set({ state: a.state, changed_at: a.changedAt })
        .where('factory', '=', a.factory)
        .where('serial', '=', bytesOf(a.serial)),
    ),
    /** A device id goes to the unit that operators chose, or to the later certificate of the same unit. */
    setIdevid: query<{
      deviceId: string;
      serial: Serial;
      model: string;
      ticketId: string;
      keyOrigin: KeyOriginName;
      changedAt: number;
    }>()((q, a) =>
      q
        .updateTable('device')
        .set({
          idevid_serial: bytesOf(a.serial),
          model: a.model,
          ticket_id: a.ticketId,
          key_origin: a.keyOrigin,
          state: 'provisioned',
          changed_at: a.changedAt,
        })
        .where('device_id', '=', a.deviceId),
    ),
    replaceRecord: query<{
      deviceId: string;
      ticketId: string;
      issuer: IssuerName;
      serial: Serial;
      record: string;
      signature: Uint8Array;
      auditSeq: number;
      createdAt: number;
    }>()((q, a) =>
      q
        .updateTable('provisioning_record')
        .set({
          ticket_id: a.ticketId,
          issuer: a.issuer,
          serial: bytesOf(a.serial),
          record: a.record,
          signature: a.signature,
          audit_seq: a.auditSeq,
          created_at: a.createdAt,
          exported_at: null,
        })
        .where('device_id', '=', a.deviceId),
    ),
    /** A key goes to the device that operators chose. */
    moveKey: query<{ spkiSha256: SpkiSha256; owner: string; issuer: IssuerName; serial: Serial }>()((q, a) =>
      q
        .updateTable('spki_history')
        .set({ owner: a.owner, issuer: a.issuer, serial: bytesOf(a.serial) })
        .where('spki_sha256', '=', bytesOf(a.spkiSha256)),
    ),
    // ---- a factory node
    abandonedCertificate: query<{ serial: Serial }>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select('fate')
        .where('serial', '=', bytesOf(a.serial))
        .where(sql<boolean>`fate = 'abandoned'`),
    ),
    insertOutbox: query<rows.OutboxRow>()((q, a) => q.insertInto('outbox').values(rows.outboxColumns(a))),
    lastOutbox: query<object>()((q) => q.selectFrom('outbox').select(outbox).orderBy('number', 'desc').limit(1)),
    outbox: query<{ number: number }>()((q, a) => q.selectFrom('outbox').select(outbox).where('number', '=', a.number)),
    /** Those that headquarters has given no receipt for, the oldest first. */
    waitingOutbox: query<{ after: number; count: number }>()((q, a) =>
      q
        .selectFrom('outbox')
        .select(outbox)
        .where('receipt', 'is', null)
        .where('number', '>', a.after)
        .orderBy('number')
        .limit(a.count),
    ),
    countOutbox: query<object>()((q) =>
      q
        .selectFrom('outbox')
        .select((eb) => [
          eb.fn.countAll<number>().as('made'),
          eb.fn.count<number>('receipt').as('settled'),
          eb.fn.coalesce(eb.fn.sum<number>('units'), eb.lit(0)).as('units'),
          eb.fn.max('settled_at').as('settledAt'),
        ]),
    ),
    unsettledOutbox: query<object>()((q) =>
      q
        .selectFrom('outbox')
        .select((eb) => [
          eb.fn.coalesce(eb.fn.sum<number>('units'), eb.lit(0)).as('units'),
          eb.fn.min('made_at').as('since'),
        ])
        .where('receipt', 'is', null),
    ),
    settleOutbox: query<{ number: number; receipt: string; settledAt: number }>()((q, a) =>
      q
        .updateTable('outbox')
        .set({ receipt: a.receipt, settled_at: a.settledAt })
        .where('number', '=', a.number)
        .where('receipt', 'is', null),
    ),
  };
}
