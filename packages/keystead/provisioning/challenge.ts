import { KeysteadError } from '@keystead/core/errors';
import { checkDeviceId } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import { requireClock } from '../authority/index.ts';
import type { Params, Result } from '../keyd-client/index.ts';
import type { Device, Ticket } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { keyDetail, requireSameWay } from './key-way.ts';
import { auditRefusal, requireBatch, type UnitOrder } from './unit.ts';

/** A unit whose TPM is to be challenged, with what it shows of that TPM. */
export interface ChallengeOrder extends Omit<UnitOrder, 'csr' | 'attestation' | 'way' | 'alongside'> {
  readonly shown: Pick<
    Params<'challengeAttestation'>,
    'ekCertificate' | 'ekPublic' | 'akPublic' | 'keyPublic' | 'attest' | 'signature'
  >;
}

export type UnitChallenge = Pick<
  Result<'challengeAttestation'>,
  'challengeId' | 'idObject' | 'encryptedSecret' | 'expiresAt'
>;

/**
 * The first step of provisioning a unit whose key is in its TPM: keyd judges what the unit shows and makes a challenge,
 * which is audited. `provisionUnit` takes the answer. REQ-KEY-GEN-03
 * @throws KeysteadError `ticket.*`, `device.blocked`, `device.already-provisioned`, `attestation.*` and what keyd
 *   refuses, each audited; `store.*`, `keyd.unreachable`.
 */
export async function challengeUnit(deps: ProvisioningDeps, order: ChallengeOrder): Promise<UnitChallenge> {
  const { shown, ticketId, ...unit } = order;
  try {
    requireClock(deps);
    checkDeviceId(order.deviceId);
    const ticket = ticketFor(deps, order, 'tpm2-attested');
    const { key, ...challenge } = await deps.keyd.challengeAttestation({ ...unit, ...shown, ticket: ticket.text });
    const actor: AuditEvent['actor'] = { kind: 'operator', id: order.operator };
    await deps.store.commit((tx) =>
      deps.audit(tx, {
        type: 'attestation.challenged',
        actor,
        requestId: order.requestId,
        outcome: 'done',
        subject: { device: order.deviceId, ticket: ticketId },
        detail: { line: order.line, station: order.station, ...keyDetail(key) },
      }),
    );
    return challenge;
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') {
      await auditRefusal(deps, 'challenge unit', order, error);
    }
    throw error;
  }
}

/**
 * The ticket by which a unit that comes by this way may go on.
 * @throws KeysteadError `ticket.unknown`, `ticket.revoked`, `device.blocked`, `device.already-provisioned`.
 */
export function ticketFor(
  { store }: Pick<ProvisioningDeps, 'store'>,
  { ticketId, deviceId }: Pick<UnitOrder, 'ticketId' | 'deviceId'>,
  way: Device['keyOrigin'],
): Ticket {
  return store.read((records) => {
    requireBatch(records, ticketId);
    const device = records.device(deviceId);
    if (device !== undefined && (device.state === 'stolen' || device.state === 'decommissioned'))
      throw new KeysteadError('device.blocked', { field: deviceId, seen: device.state });
    if (device !== undefined) requireSameWay(device, way);
    const ticket = records.ticket(ticketId);
    if (ticket === undefined) throw new KeysteadError('ticket.unknown', { field: 'ticketId', seen: ticketId });
    return ticket;
  });
}
