import type { Serial } from '@keystead/core/bytes';
import { factoryIssuerId, HEADQUARTERS } from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import { inForce, type Revoked, requireClock, revokeAll } from '../authority/index.ts';
import type { Result } from '../keyd-client/index.ts';
import type { QuarantinedRow, Tx } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { exportRecords } from './files.ts';
import { recordTakenUnit } from './taken-unit.ts';

export interface Resolved {
  readonly act: Result<'resolve'>['act'];
  readonly factory: string;
  readonly by: string;
  readonly repeated: boolean;
  readonly ended: readonly { readonly where: string; readonly deviceId: string }[];
  readonly revoked: Revoked['certificates'];
}

/**
 * Carries out an operator's decision about a unit in quarantine: keyd verifies it; the right one comes into the records
 * of devices, and every certificate of the others is revoked. REQ-KEY-PROV-03, REQ-KEY-REV-01
 * @throws KeysteadError `resolution.*` (audited by the caller); `store.*`, `keyd.*`.
 */
export async function resolveConflict(
  deps: ProvisioningDeps,
  resolution: string,
  requestId: string,
): Promise<Resolved> {
  requireClock(deps);
  const done = await deps.keyd.resolve({ resolution, requestId });
  const revoked = await deps.store.commit((tx) => apply(tx, deps, done, requestId));
  await deps.authority.announceRevoked(revoked);
  await exportRecords(deps);
  const { act, factory, by, repeated, ended } = done;
  return { act, factory, by, repeated, ended: ended.map(({ where, deviceId }) => ({ where, deviceId })), revoked };
}

function apply(tx: Tx, deps: ProvisioningDeps, done: Result<'resolve'>, requestId: string): Revoked['certificates'] {
  const { act, factory, by, id, deviceId = '', serials, ended } = done;
  const now = deps.clock.now();
  const actor: AuditEvent['actor'] = { kind: 'operator', id: by };
  const open = serials
    .map((serial) => tx.reconciliation.quarantined(factory, serial as Serial))
    .filter((row): row is QuarantinedRow => row?.state === 'open');
  // Told once: the same resolution again finds nothing open.
  if (done.repeated && open.length === 0) return [];
  deps.audit(tx, {
    type: act === 'accept' ? 'consignment.accepted' : `unit.${act === 'release' ? 'released' : 'rejected'}`,
    actor,
    requestId,
    outcome: 'done',
    subject: act === 'accept' ? { factory } : { device: deviceId, factory, serial: done.serial ?? '' },
    detail: { resolution: id, ended: ended.length },
  });
  const revoked: Revoked['certificates'][number][] = [];
  for (const { where, deviceId: other } of ended) {
    const certificates = inForce(tx, other, now).filter(
      ({ issuer, profile }) => profile !== 'idevid' || where === HEADQUARTERS || issuer === factoryIssuerId(where),
    );
    revoked.push(...revokeAll(tx, deps.audit, { certificates, reason: 'superseded', actor, requestId, now }));
    for (const row of tx.reconciliation.quarantinedOfDevice(other)) {
      // It was never in the records of devices: keyd refuses it and puts it on the list of its factory by itself.
      if (row.factory === where && row.state === 'open')
        tx.reconciliation.setQuarantine(where, row.serial, 'rejected', now.getTime());
    }
  }
  for (const row of open) {
    tx.reconciliation.setQuarantine(factory, row.serial, act === 'release' ? 'released' : 'rejected', now.getTime());
    if (act === 'release') release(tx, deps, row, { actor, requestId, now: now.getTime() });
  }
  return revoked;
}

function release(
  tx: Tx,
  deps: ProvisioningDeps,
  row: QuarantinedRow,
  how: { actor: AuditEvent['actor']; requestId: string; now: number },
): void {
  const { certificate, record, signature, ticket, factory } = row;
  if (certificate === null || record === null || signature === null || ticket === null) return;
  const content = {
    certificate: Buffer.from(certificate).toString('base64'),
    record,
    signature: Buffer.from(signature).toString('base64'),
  };
  recordTakenUnit(tx, deps, { factory, number: 0, unit: JSON.parse(row.unit), content, ticket, ...how });
}
