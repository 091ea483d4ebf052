import { type DerSpki, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Consignment,
  contentsSha256,
  formatParcel,
  type Parcel,
  type ParcelContent,
  parseConsignment,
  parseReceipt,
  verifyReceipt,
} from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { Reader } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';

/** A consignment that is ready to leave, with its file: one line. */
export interface ReadyParcel {
  readonly number: number;
  readonly sha256: string;
  readonly text: string;
}

/** What an outbox stands on. */
export interface OutboxDeps extends Pick<ProvisioningDeps, 'store' | 'audit' | 'clock'> {
  readonly keyd: Pick<ProvisioningDeps['keyd'], 'signConsignment' | 'sealParcel'>;
}

const SYSTEM: AuditEvent['actor'] = { kind: 'system', id: 'outbox' };

/**
 * At a factory node: what headquarters has not yet given a receipt for. keyd makes the consignments; here each is kept
 * from the moment that keyd has given it out until its receipt is here. A crash at any point loses none: keyd gives the
 * one after the last that is kept, the same each time, and headquarters takes one twice as once.
 * REQ-KEY-PROV-01, REQ-KEY-AUD-01
 */
export class Outbox {
  readonly #deps: OutboxDeps;
  /** The key that signs receipts. */
  readonly #headquarters: DerSpki;

  constructor(deps: OutboxDeps, headquarters: DerSpki) {
    this.#deps = deps;
    this.#headquarters = headquarters;
  }

  /**
   * Has keyd sign what has happened since the last consignment, and keeps it.
   * @returns how many consignments are new.
   * @throws KeysteadError of keyd or of the store.
   */
  async collect(requestId: string): Promise<number> {
    const { store, keyd, audit, clock } = this.#deps;
    for (let count = 0; ; count += 1) {
      const last = store.read((records) => records.reconciliation.lastOutbox())?.number ?? 0;
      const { document } = await keyd.signConsignment({ number: last + 1, requestId });
      if (document === null) return count;
      const { content, sha256 } = parseConsignment(document);
      await store.commit((tx) => {
        if (tx.reconciliation.outbox(content.number) !== undefined) return;
        const madeAt = clock.now().getTime();
        const { number, units } = content;
        tx.reconciliation.insertOutbox({
          ...{ number, sha256, document, units: units.length, madeAt },
          receipt: null,
          settledAt: null,
        });
        audit(tx, {
          type: 'consignment.made',
          actor: SYSTEM,
          requestId,
          outcome: 'done',
          subject: { factory: content.factory, number },
          detail: { sha256, units: units.length },
        });
      });
    }
  }

  /**
   * The next consignments that wait for their receipt, from the one after `after` on, as far as their units are settled:
   * one whose unit is being recorded at this moment comes the next time. keyd seals each.
   * @throws KeysteadError of keyd.
   */
  async ready(after: number, count: number, requestId: string): Promise<ReadyParcel[]> {
    const { store, keyd } = this.#deps;
    const packed = store.read((records) =>
      records.reconciliation.waiting(after, count).flatMap(({ number, sha256, document }) => {
        const parcel = assemble(records, document);
        return parcel === undefined ? [] : [{ number, sha256, parcel }];
      }),
    );
    return Promise.all(
      packed.map(async ({ number, sha256, parcel }) => {
        const hashes = { consignmentSha256: sha256, contentsSha256: contentsSha256(parcel) };
        const { seal } = await keyd.sealParcel({ number, ...hashes, requestId });
        return { number, sha256, text: formatParcel({ ...parcel, seal }) };
      }),
    );
  }

  /**
   * Takes a receipt. The same again changes nothing; they may come in any order.
   * @returns whether it was new.
   * @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`, `receipt.foreign`.
   */
  async settle(receipt: string, requestId: string, actor: AuditEvent['actor'] = SYSTEM): Promise<boolean> {
    const { store, audit, clock } = this.#deps;
    verifyReceipt(receipt, this.#headquarters);
    const { content } = parseReceipt(receipt);
    return store.commit((tx) => {
      const row = tx.reconciliation.outbox(content.number);
      const factory = row === undefined ? undefined : parseConsignment(row.document).content.factory;
      if (row === undefined || factory !== content.factory || row.sha256 !== content.consignmentSha256) {
        const seen = `${content.factory} number ${content.number}, ${content.consignmentSha256}`;
        throw new KeysteadError('receipt.foreign', { field: 'receipt', seen });
      }
      if (!tx.reconciliation.settle(content.number, receipt, clock.now().getTime())) return false;
      const { number, taken, quarantined } = content;
      audit(tx, {
        type: 'consignment.settled',
        actor,
        requestId,
        outcome: 'done',
        subject: { factory, number },
        detail: { sha256: row.sha256, taken, void: content.void.length, quarantined: quarantined.length },
      });
      for (const unit of quarantined) {
        audit(tx, {
          type: 'unit.quarantined',
          actor,
          requestId,
          outcome: 'done',
          subject: { device: unit.deviceId, serial: unit.serial, factory },
          detail: { consignment: number, ...Object.fromEntries(unit.conflicts.map((one) => [one.conflict, one.with])) },
        });
      }
      return true;
    });
  }

  /** Keeps why headquarters does not take a consignment, for who asks how this node stands. */
  async refused(number: number, { code, message }: KeysteadError): Promise<void> {
    const { store, clock } = this.#deps;
    const known = store.read(refusalOf);
    // It is sent again and again: the first time is what is told.
    if (known?.number === number && known.code === code) return;
    const refusal: OutboxRefusal = { number, code, message, at: clock.now().toISOString() };
    await store.commit((tx) => tx.setMeta(REFUSAL, JSON.stringify(refusal)));
  }

  /** How far it is. */
  progress(): OutboxProgress {
    return this.#deps.store.read(outboxProgress);
  }
}

/** Why headquarters did not take a consignment that still waits. */
export interface OutboxRefusal {
  readonly number: number;
  readonly code: string;
  readonly message: string;
  /** Since when it is refused for this. */
  readonly at: string;
}

/** How far a node's outbox is: consignments that were made and settled, and what waits. */
export interface OutboxProgress {
  readonly made: number;
  readonly settled: number;
  readonly waiting: number;
  /** In all consignments. */
  readonly units: number;
  /** In those that wait. */
  readonly waitingUnits: number;
  /** When the oldest that waits was made. */
  readonly waitingSince: string | null;
  /** When the last receipt came. */
  readonly settledAt: string | null;
  readonly refusal: OutboxRefusal | null;
}

/** The same from the records of a node, without its services. */
export function outboxProgress(records: Reader): OutboxProgress {
  const { made, settled, units, settledAt } = records.reconciliation.progress();
  const { units: waitingUnits, since } = records.reconciliation.unsettled();
  const refusal = refusalOf(records);
  const isSettled = refusal !== undefined && records.reconciliation.outbox(refusal.number)?.receipt !== null;
  return {
    ...{ made, settled, waiting: made - settled, units, waitingUnits },
    waitingSince: isoOf(since),
    settledAt: isoOf(settledAt),
    refusal: isSettled ? null : (refusal ?? null),
  };
}

const REFUSAL = 'outbox.refusal';
const isoOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

function refusalOf(records: Reader): OutboxRefusal | undefined {
  const text = records.meta(REFUSAL);
  return text === undefined ? undefined : (JSON.parse(text) as OutboxRefusal);
}

/** The parcel of a consignment; undefined while a unit of it is neither recorded nor given up. */
function assemble(records: Reader, document: string): Omit<Parcel, 'v' | 'seal'> | undefined {
  const { units } = parseConsignment(document).content;
  const contents: (ParcelContent | null)[] = [];
  for (const unit of units) {
    const content = contentOf(records, unit);
    if (content === undefined) return undefined;
    contents.push(content);
  }
  const ids = new Set(units.map(({ ticket }) => ticket.id));
  const tickets = [...ids].flatMap((id) => records.ticket(id)?.text ?? []);
  return { consignment: document, tickets, contents };
}

/** Null for a certificate that a crash kept from its device: it is on the list of those that were abandoned. */
function contentOf(records: Reader, unit: Consignment['units'][number]): ParcelContent | null | undefined {
  const certificate = records.certificatesBySerial(unit.serial)[0];
  const record = records.provisioningRecord(unit.deviceId);
  if (certificate !== undefined && record?.serial === unit.serial) {
    const { der } = certificate;
    return { certificate: toBase64(der), record: record.record, signature: toBase64(record.signature) };
  }
  return records.reconciliation.isAbandoned(unit.serial) ? null : undefined;
}
