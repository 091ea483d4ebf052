import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Store } from '../store/index.ts';

export interface ReadmissionOrder {
  readonly deviceId: string;
  /** Why, in the operator's words; for the audit log. */
  readonly reason: string;
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

export interface Readmitted {
  readonly deviceId: string;
  /** Until when the device may enrol by its IDevID, ISO 8601 UTC. */
  readonly until: string;
}

interface ReadmissionDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  /** How long the device has then. */
  readonly graceSeconds: number;
}

/**
 * Lets a device whose grace period has ended enrol by its IDevID again, for as long as a grace period is. It gives nothing
 * else: the IDevID must be good, and what is blocked stays blocked. REQ-KEY-ROT-01
 * @throws KeysteadError `device.unknown`, `device.blocked`, each audited; `store.*`.
 */
export async function readmitDevice(deps: ReadmissionDeps, order: ReadmissionOrder): Promise<Readmitted> {
  const { store, clock, audit, refusals, graceSeconds } = deps;
  const { deviceId, reason, actor, requestId } = order;
  const subject = { device: deviceId };
  const at = clock.now().getTime();
  const until = new Date(at + graceSeconds * 1000).toISOString();
  try {
    await store.commit((tx) => {
      const device = tx.device(deviceId);
      if (device === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
      if (device.state === 'stolen' || device.state === 'decommissioned')
        throw new KeysteadError('device.blocked', { field: deviceId, seen: device.state });
      // A promise that its IDevID could not keep: whoever reads it would look for the fault at the device.
      const idevid = tx.certificatesOfDevice(deviceId).find(({ serial }) => serial === device.idevidSerial);
      if (idevid?.status !== 'good')
        throw new KeysteadError('device.blocked', {
          field: deviceId,
          seen: `its IDevID is ${idevid?.status ?? 'gone'}`,
        });
      tx.setReadmitted(deviceId, at);
      const detail = { reason, until };
      audit(tx, { type: 'device.readmitted', actor, requestId, outcome: 'done', subject, detail });
    });
  } catch (error) {
    if (error instanceof KeysteadError)
      await refusals.refused({ what: 'readmission', error, actor, requestId, subject });
    throw error;
  }
  return { deviceId, until };
}
