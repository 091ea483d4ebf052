import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { operatorOf, permits, requestName } from '@keystead/core/lifecycle';
import { checkDeviceId } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { decommissionEvidence, signDocument } from '../documents.ts';
import { requireHeadquarters } from '../factory/node.ts';
import { listSigner } from '../list-signer.ts';
import type { Params, Result } from '../protocol.ts';
import { forgettingOf } from '../revocation.ts';

/**
 * Signs the evidence that a device was decommissioned. What keyd can check is checked: that the operator may do
 * this, that the device is one that keyd provisioned and its IDevID is revoked or has ended, and that each certificate
 * named as revoked stands on a CRL that keyd signed (or has ended): publish the CRL first. REQ-KEY-WIPE-01
 * @throws KeysteadError `key.use-forbidden`, `key.cryptoperiod-ended`, `operator.*`, `device.id-malformed`,
 *   `device.not-provisioned`, `evidence.not-revoked`, `clock.went-back`, `keyd.journal-failed`.
 */
export async function signEvidence(keyd: KeydContext, params: Params<'signEvidence'>): Promise<Result<'signEvidence'>> {
  const now = keyd.now();
  requireHeadquarters(keyd.hierarchy.node, 'kind', 'the end of a device');
  const { kind, requestId, ...end } = params;
  checkDeviceId(end.deviceId);
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  const operator = operatorOf(keyd.policy, end.operator);
  if (operator === undefined) throw new KeysteadError('operator.unknown', { field: 'operator', seen: end.operator });
  if (!permits(operator.roles, 'device.decommission')) {
    throw new KeysteadError('operator.forbidden', { field: 'operator', seen: end.operator });
  }
  const idevid = keyd.state.units.idevidOf(end.deviceId);
  if (idevid === undefined) {
    throw new KeysteadError('device.not-provisioned', { field: 'deviceId', seen: end.deviceId });
  }
  if (!keyd.state.isRevoked(idevid.issuer, idevid.serial) && idevid.notAfter > now.getTime()) {
    throw new KeysteadError('evidence.not-revoked', { field: 'deviceId', seen: `IDevID ${idevid.serial}` });
  }
  const loose = end.revoked.find((one) => !keyd.state.isRevoked(one.issuer, one.serial) && !isLongOver(keyd, one, now));
  if (loose !== undefined) throw new KeysteadError('evidence.not-revoked', { field: 'revoked', seen: loose.serial });
  const document = decommissionEvidence({ ...end, requestId, date: now }, keyd.provenance);
  await keyd.journal.append({
    time: now.toISOString(),
    kind: 'document',
    document: kind,
    subject: end.deviceId,
    sha256: toHex(sha256(Buffer.from(document, 'utf8'))),
    requestId,
  });
  const { signature } = await signDocument(document, keyd.evidence);
  return { document, signature };
}

/** keyd knows when what it issued ends. Of what a restore forgot the front end says when it was revoked. */
function isLongOver(
  keyd: KeydContext,
  { issuer, serial, revokedAt }: Params<'signEvidence'>['revoked'][number],
  now: Date,
): boolean {
  const { role } = listSigner(keyd, issuer).authority;
  const ended = keyd.state.issued.hasEnded(issuer, serial, Math.floor(now.getTime() / 1000));
  return ended ?? revokedAt.getTime() <= forgettingOf(keyd, role, now).allListedBy;
}
