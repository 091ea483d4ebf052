import { KeysteadError } from '@keystead/core/errors';
import { checkDeviceId } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import { requireClock } from '../authority/index.ts';
import type { Params, Result } from '../keyd-client/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { auditRefusal, keyDetail, requireBatch, type UnitOrder } from './unit.ts';

/** A unit whose TPM is to be challenged, with what it shows of that TPM. */
export interface ChallengeOrder extends Omit<UnitOrder, 'csr' | 'attestation' | 'alongside'> {
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
    const ticket = deps.store.read((records) => {
      requireBatch(records, ticketId);
      const device = records.device(order.deviceId);
      if (device !== undefined && (device.state === 'stolen' || device.state === 'decommissioned')) {
        throw new KeysteadError('device.blocked', { field: order.deviceId, seen: device.state });
      }
      if (device !== undefined && device.keyOrigin !== 'tpm2-attested') {
        const seen = `${order.deviceId}, without attestation`;
        throw new KeysteadError('device.already-provisioned', { field: 'deviceId', seen });
      }
      return records.ticket(ticketId);
    });
    if (ticket === undefined) throw new KeysteadError('ticket.unknown', { field: 'ticketId', seen: ticketId });
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
