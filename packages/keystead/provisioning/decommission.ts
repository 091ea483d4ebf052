import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { isListedIssuer, verifyWipeEvidence, type WipeClaims } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import { inForce, type Revoked, requireClock, revokeAll } from '../authority/index.ts';
import type { Device, Evidence, Tx } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { exportEvidence } from './files.ts';

export interface DecommissionOrder {
  readonly deviceId: string;
  /** Why the device ends, in a few words. */
  readonly reason: string;
  /** The operator who asks, whom a certificate has authenticated; the evidence names this person. */
  readonly operator: string;
  /** What the device or the operator says was wiped. */
  readonly wiped: readonly string[];
  /** What the device signed when it wiped itself (`keystead-agent wipe`), as it was collected from it. */
  readonly wipeEvidence?: string;
  readonly requestId: string;
}

/** What is asked of keyd for one device, kept until the evidence exists. */
type EvidenceOrder = Pick<DecommissionOrder, 'deviceId' | 'reason' | 'operator' | 'requestId'> & {
  readonly wiped: readonly string[];
};

export interface Decommissioned {
  /** The evidence, YAML, exactly the bytes that are signed. */
  readonly document: string;
  /** ECDSA over the document, DER. */
  readonly signature: Uint8Array;
  readonly revoked: Revoked['certificates'];
}

/**
 * Ends a device: from the first COMMIT on it gets no certificate and all it has are revoked; then the CRLs say so;
 * then keyd, which has seen them there, signs the evidence. A crash in between leaves the device ended, and
 * {@link resumeDecommissions} brings the evidence. To ask again gives the same evidence. REQ-KEY-WIPE-01
 * @throws KeysteadError `device.unknown`, `operator.*` (audited); `store.*`, `keyd.*`, `clock.went-back`.
 */
export async function decommission(deps: ProvisioningDeps, order: DecommissionOrder): Promise<Decommissioned> {
  const actor: AuditEvent['actor'] = { kind: 'operator', id: order.operator };
  const { deviceId, requestId } = order;
  try {
    requireClock(deps);
    const revoked = await deps.store.commit((tx) => end(tx, deps, order, actor));
    await deps.authority.announceRevoked(revoked);
    const known = deps.store.read((records) => records.evidence(deviceId));
    const { document, signature } = known ?? (await sign(deps, deviceId));
    await exportEvidence(deps);
    return { document, signature, revoked };
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') {
      await deps.refusals.refused({ what: 'decommission', error, actor, requestId, subject: { device: deviceId } });
    }
    throw error;
  }
}

/** Signs the evidence that a crash or an absent keyd left out. @throws KeysteadError of keyd or of the store. */
export async function resumeDecommissions(deps: ProvisioningDeps): Promise<void> {
  for (const deviceId of deps.store.read((records) => records.devicesWithoutEvidence())) {
    const certificates = deps.store.read((records) => revokedOf(deps, records, deviceId));
    await deps.authority.announceRevoked(certificates);
    await sign(deps, deviceId);
  }
  await exportEvidence(deps);
}

interface CollectedWipe {
  readonly claims: WipeClaims;
  /** Of the file as it was collected, hex. */
  readonly sha256: string;
}

/**
 * The device's own word of its wipe, by the key of the IDevID that it was given. REQ-KEY-WIPE-01
 * @throws KeysteadError `evidence.wipe-malformed`, `evidence.wipe-signature`, `evidence.wipe-device`.
 */
function collectedWipe(tx: Tx, { deviceId, idevidSerial }: Device, text: string): CollectedWipe {
  const idevid = tx.certificatesOfDevice(deviceId).find(({ serial }) => serial === idevidSerial);
  if (idevid === undefined)
    throw new KeysteadError('evidence.wipe-device', { field: 'idevidSerial', seen: 'no IDevID' });
  const claims = verifyWipeEvidence(text, readCertificate(idevid.der).spki);
  if (claims.deviceId !== deviceId || claims.idevidSerial !== idevidSerial)
    throw new KeysteadError('evidence.wipe-device', { field: 'deviceId', seen: claims.deviceId });
  return { claims, sha256: toHex(sha256(Buffer.from(text, 'utf8'))) };
}

/** What keyd's evidence repeats of it: by its hash and time, then what it names, then what it counts. */
const reportedWipe = ({ claims: { at, wiped, more }, sha256 }: CollectedWipe): string[] => [
  `signed by the device at ${at}, SHA-256 ${sha256}`,
  ...wiped,
  ...(more === undefined ? [] : [`and ${more.count} more, SHA-256 of their names ${more.sha256}`]),
];

const countOf = ({ wiped, more }: WipeClaims): number => wiped.length + (more?.count ?? 0);

const collectedKey = (deviceId: string): string => `wipe-collected.${deviceId}`;
const orderKey = (deviceId: string): string => `decommission.${deviceId}`;

function end(
  tx: Tx,
  { audit, clock }: ProvisioningDeps,
  order: DecommissionOrder,
  actor: AuditEvent['actor'],
): Revoked['certificates'] {
  const { deviceId, reason, operator, requestId } = order;
  const now = clock.now();
  const device = tx.device(deviceId);
  if (device === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
  const collected = order.wipeEvidence === undefined ? undefined : collectedWipe(tx, device, order.wipeEvidence);
  // A device that was lost and ended before may come back, wiped: its word is entered then, beside the evidence that stands.
  const known = collected === undefined ? undefined : tx.meta(collectedKey(deviceId));
  if (collected !== undefined && known !== collected.sha256) {
    tx.setMeta(collectedKey(deviceId), collected.sha256);
    audit(tx, {
      type: 'device.wipe-collected',
      actor,
      requestId,
      outcome: 'done',
      subject: { device: deviceId },
      detail: { sha256: collected.sha256, at: collected.claims.at, wiped: countOf(collected.claims) },
    });
  }
  const wiped = collected === undefined ? order.wiped : reportedWipe(collected);
  if (device.state !== 'decommissioned') {
    tx.setDeviceState(deviceId, 'decommissioned', now.getTime());
    const kept: EvidenceOrder = { deviceId, reason, operator, requestId, wiped };
    tx.setMeta(orderKey(deviceId), JSON.stringify(kept));
    audit(tx, {
      type: 'device.decommissioned',
      actor,
      requestId,
      outcome: 'done',
      subject: { device: deviceId },
      detail: { before: device.state, reason, wiped: wiped.length },
    });
  }
  const certificates = inForce(tx, deviceId, now);
  return revokeAll(tx, audit, { certificates, reason: 'cessationOfOperation', actor, requestId, now });
}

/** The certificates of an ended device that have not run out: what the evidence lists. */
function revokedOf(
  deps: ProvisioningDeps,
  records: Parameters<typeof inForce>[0],
  deviceId: string,
): Revoked['certificates'] {
  return inForce(records, deviceId, deps.clock.now()).flatMap(({ issuer, serial, revokedAt, reason }) =>
    revokedAt === null || !isListedIssuer(issuer)
      ? []
      : [{ issuer, serial, revokedAt: new Date(revokedAt), reason: reason ?? 'unspecified' }],
  );
}

async function sign(deps: ProvisioningDeps, deviceId: string): Promise<Evidence> {
  const { store, keyd, audit, clock } = deps;
  const { kept, revoked } = store.read((records) => ({
    kept: records.meta(orderKey(deviceId)),
    revoked: revokedOf(deps, records, deviceId),
  }));
  if (kept === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
  const { reason, operator, requestId, wiped } = JSON.parse(kept) as EvidenceOrder;
  const { document, signature } = await keyd.signEvidence({
    kind: 'decommission',
    deviceId,
    reason,
    operator,
    wiped: [...wiped],
    revoked: revoked.map((one) => ({ ...one })),
    requestId,
  });
  return store.commit((tx) => {
    const known = tx.evidence(deviceId);
    if (known !== undefined) return known;
    const { seq } = audit(tx, {
      type: 'evidence.signed',
      actor: { kind: 'operator', id: operator },
      requestId,
      outcome: 'done',
      subject: { device: deviceId, kind: 'decommission' },
      detail: { sha256: toHex(sha256(Buffer.from(document, 'utf8'))), revoked: revoked.length },
    });
    const createdAt = clock.now().getTime();
    const row: Evidence = { deviceId, document, signature, auditSeq: seq, createdAt, exportedAt: null };
    tx.insertEvidence(row);
    return row;
  });
}
