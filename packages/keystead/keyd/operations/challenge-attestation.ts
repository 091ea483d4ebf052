import { KeysteadError } from '@keystead/core/errors';
import {
  issuerKeyId,
  operatorOf,
  permits,
  profileOf,
  requestName,
  requireTicketDevice,
  requireTicketFactory,
  requireTicketLine,
  requireTicketStation,
  requireTicketTime,
  type SignedTicket,
} from '@keystead/core/lifecycle';
import { checkDeviceId } from '@keystead/core/x509';
import { type Standing, standingOf } from '../at-station.ts';
import type { UnitAtLine } from '../attestation/index.ts';
import type { CertificateAuthority } from '../certificate-authority.ts';
import type { KeydContext } from '../context.ts';
import { requireOurDevice } from '../factory/node.ts';
import { nodeName } from '../node-name.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Challenges the TPM of a unit of a batch, once everything that can be judged before is judged: ticket, line, device,
 * operator, and what the device shows. Signs nothing and takes no unit. REQ-KEY-GEN-03, REQ-KEY-PROV-01
 * @throws KeysteadError as {@link requireUnit} does; `device.already-provisioned`, `key.*`, `attestation.*`.
 */
export async function challengeAttestation(
  keyd: KeydContext,
  params: Params<'challengeAttestation'>,
): Promise<Result<'challengeAttestation'>> {
  const now = keyd.now();
  const { ekCertificate, ekPublic, akPublic, keyPublic, attest, signature } = params;
  const { signed, unit } = requireUnit(keyd, params, now);
  const { keyAlgorithms } = profileOf(keyd.policy, signed.ticket.profile);
  const shown = { ekCertificate, ekPublic, akPublic, keyPublic, statement: { attest, signature } };
  const made = keyd.attestation.challenge(unit, shown, keyAlgorithms, now, (key) =>
    keyd.state.units.require(signed, unit.deviceId, key),
  );
  const { id, credential, expiresAt, attested } = made;
  return { challengeId: id, ...credential, expiresAt, key: attested };
}

/** What names a unit in an operation. */
export type UnitParams = Pick<Params<'provision'>, 'ticket' | 'deviceId' | 'station' | 'operator' | 'line' | 'at'>;

/**
 * That this unit may be provisioned now, by this operator at this line, and that its record can be signed.
 * @throws KeysteadError `key.use-forbidden`, `key.cryptoperiod-ended`, `keyd.journal-rolled-back`,
 *   `keyd.counter-replaced`, `ticket.*`, `sign-on.*`, `requester.*`, `operator.*`, `device.id-malformed`; `factory.*` at a
 *   factory node.
 */
export function requireUnit(
  keyd: KeydContext,
  params: UnitParams,
  now: Date,
): {
  readonly signed: SignedTicket;
  readonly unit: UnitAtLine;
  readonly authority: CertificateAuthority;
  readonly standing: Standing;
} {
  const { ticket: text, deviceId } = params;
  const signed = keyd.ticket(text);
  const { ticket } = signed;
  // Before a unit is taken: a device whose record could not be signed would have to be begun again.
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  const authority = keyd.issuing('manufacturing');
  keyd.ledger.require(issuerKeyId(authority.id), 'protect', now);
  requireTicketTime(ticket, now);
  keyd.count.require();
  keyd.state.lapses.requireAfterRestore(ticket);
  requireTicketFactory(ticket, nodeName(keyd));
  const standing = standingOf(keyd, params, signed, now);
  const { operator, station, line } = standing;
  requireTicketLine(ticket, line);
  requireTicketStation(ticket, station);
  requireTicketDevice(ticket, checkDeviceId(deviceId));
  requireOurDevice(keyd.hierarchy.node, keyd.policy, deviceId, now);
  requireLineOperator(keyd, operator);
  return { signed, authority, standing, unit: { ticketSha256: signed.sha256, deviceId, operator, station, line } };
}

function requireLineOperator(keyd: KeydContext, name: string): void {
  const operator = operatorOf(keyd.policy, name);
  if (operator === undefined) throw new KeysteadError('operator.unknown', { field: 'operator', seen: name });
  if (!permits(operator.roles, 'unit.provision')) {
    throw new KeysteadError('operator.forbidden', {
      field: 'operator',
      seen: `${name}, who is ${operator.roles.join(', ')}`,
    });
  }
}
