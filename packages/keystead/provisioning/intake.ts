import { KeysteadError } from '@keystead/core/errors';
import {
  type Consignment,
  factoryIssuerId,
  HEADQUARTERS,
  type Parcel,
  type ParcelContent,
  parseConsignment,
  parseReceipt,
  parseTicket,
  type UnitConflict,
} from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import { requireClock } from '../authority/index.ts';
import type { Result } from '../keyd-client/index.ts';
import type { Tx } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { exportRecords } from './files.ts';
import { seenOf } from './seen.ts';
import { recordTakenUnit, recordVoidUnit } from './taken-unit.ts';

export interface TakenParcel {
  readonly factory: string;
  readonly number: number;
  readonly receipt: string;
  readonly repeated: boolean;
  readonly missing: readonly number[];
  readonly taken: number;
  readonly void: number;
  readonly quarantined: number;
}

/**
 * Takes a parcel of a factory in: keyd judges it, and its units come into the records in one transaction with the
 * entries that tell of each, and of both sides of every conflict. A crash in between leaves keyd ahead of the records;
 * the factory sends the parcel again, for it has no receipt, and it comes in then. REQ-KEY-PROV-01, REQ-KEY-PROV-03
 * @throws KeysteadError what keyd refuses (audited); `store.*`, `keyd.unreachable`.
 */
export async function takeParcel(deps: ProvisioningDeps, parcel: Parcel, requestId: string): Promise<TakenParcel> {
  let factory = 'unknown';
  try {
    requireClock(deps);
    const { content } = parseConsignment(parcel.consignment);
    factory = content.factory;
    const seen = deps.store.read((records) => seenOf(records, content.factory, content.units));
    const { v: _, ...params } = parcel;
    const taken = await deps.keyd.takeConsignment({ ...params, seen, requestId });
    await deps.store.commit((tx) => record(tx, deps, { content, parcel, taken, requestId }));
    await exportRecords(deps);
    const receipt = parseReceipt(taken.receipt).content;
    return {
      factory,
      number: taken.number,
      receipt: taken.receipt,
      repeated: taken.repeated,
      missing: taken.missing,
      taken: receipt.taken,
      void: receipt.void.length,
      quarantined: receipt.quarantined.length,
    };
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') {
      // Not the name that a stranger gives: only what keyd knows is a factory.
      const actor: AuditEvent['actor'] = { kind: 'anonymous', id: 'factory' };
      await deps.refusals.refused({ what: 'take consignment', error, actor, requestId });
    }
    throw error;
  }
}

function record(
  tx: Tx,
  deps: ProvisioningDeps,
  v: { content: Consignment; parcel: Parcel; taken: Result<'takeConsignment'>; requestId: string },
): void {
  const { content, parcel, taken, requestId } = v;
  const { factory, number, units } = content;
  if (tx.reconciliation.receipt(factory, taken.sha256) !== undefined) return;
  const now = deps.clock.now().getTime();
  const actor: AuditEvent['actor'] = { kind: 'system', id: factoryIssuerId(factory) };
  const receipt = parseReceipt(taken.receipt).content;
  const quarantined = new Map(receipt.quarantined.map(({ serial, conflicts }) => [serial, conflicts]));
  const tickets = new Map(parcel.tickets.map((text) => [ticketKey(text), text]));
  deps.audit(tx, {
    type: 'consignment.taken',
    actor,
    requestId,
    outcome: 'done',
    subject: { factory, number },
    detail: {
      sha256: taken.sha256,
      units: units.length,
      taken: receipt.taken,
      void: receipt.void.length,
      quarantined: receipt.quarantined.length,
    },
  });
  for (const [index, unit] of units.entries()) {
    const content = parcel.contents[index] ?? null;
    const conflicts = quarantined.get(unit.serial);
    const ticket = tickets.get(`${unit.ticket.id} ${unit.ticket.sha256}`);
    const common = { factory, number, unit, actor, requestId, now };
    if (conflicts !== undefined) quarantine(tx, deps, { ...common, conflicts, content, ticket });
    else if (content === null || ticket === undefined) recordVoidUnit(tx, deps, common);
    else recordTakenUnit(tx, deps, { ...common, content, ticket });
  }
  tx.reconciliation.insertConsignment({
    factory,
    number,
    sha256: taken.sha256,
    document: parcel.consignment,
    receipt: taken.receipt,
    takenAt: now,
  });
}

/** The id and hash of a ticket; of what is no ticket, none that a unit could name. */
function ticketKey(text: string): string {
  try {
    const { ticket, sha256 } = parseTicket(text);
    return `${ticket.id} ${sha256}`;
  } catch (error) {
    if (error instanceof KeysteadError) return '';
    throw error;
  }
}

/** Both sides of each conflict have an entry in the log. */
function quarantine(
  tx: Tx,
  { audit }: ProvisioningDeps,
  v: {
    factory: string;
    number: number;
    unit: Consignment['units'][number];
    conflicts: readonly UnitConflict[];
    content: ParcelContent | null;
    ticket: string | undefined;
    actor: AuditEvent['actor'];
    requestId: string;
    now: number;
  },
): void {
  const { factory, number, unit, conflicts, content, ticket, actor, requestId, now } = v;
  const { deviceId, serial, spkiSha256 } = unit;
  if (tx.reconciliation.quarantined(factory, serial) !== undefined) return;
  tx.reconciliation.insertQuarantined({
    factory,
    serial,
    deviceId,
    spkiSha256,
    ticketId: unit.ticket.id,
    unit: JSON.stringify(unit),
    conflicts: JSON.stringify(conflicts),
    certificate: content === null ? null : Buffer.from(content.certificate, 'base64'),
    record: content?.record ?? null,
    signature: content === null ? null : Buffer.from(content.signature, 'base64'),
    ticket: ticket ?? null,
    state: 'open',
    foundAt: now,
    changedAt: now,
  });
  for (const { conflict, with: other } of conflicts) {
    const told = { conflict, spkiSha256, factory, consignment: number };
    audit(tx, {
      type: 'unit.quarantined',
      actor,
      requestId,
      outcome: 'done',
      subject: { device: deviceId, serial, factory },
      detail: { ...told, with: other },
    });
    if (conflict !== 'device-known' && conflict !== 'key-known') continue;
    const [where = HEADQUARTERS, device = deviceId] = other.split(' ', 2);
    audit(tx, {
      type: 'unit.contradicted',
      actor,
      requestId,
      outcome: 'done',
      subject: { device, where },
      detail: { ...told, by: `${factory} ${deviceId}`, serial },
    });
  }
}
