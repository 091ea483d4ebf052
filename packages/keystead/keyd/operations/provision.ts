import { toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  issuerKeyId,
  operatorOf,
  permits,
  profileOf,
  requestName,
  requireTicketDevice,
  requireTicketLine,
  requireTicketTime,
} from '@keystead/core/lifecycle';
import { checkDeviceId } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { provisioningRecord, signDocument } from '../documents.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Provisions one unit of a batch: verifies the ticket against the policy's operators, its time, line and range of
 * device ids, takes a unit of its quota, and gives the IDevID with a signed record. The same device with the same
 * key may come again and takes no other unit. REQ-KEY-PROV-01, REQ-KEY-PROV-02
 * @throws KeysteadError `key.use-forbidden`, `key.cryptoperiod-ended`, `ticket.*`, `operator.*`, `device.*`, `csr.*`, `key.*`, `clock.went-back`,
 *   `keyd.journal-failed`.
 */
export async function provision(keyd: KeydContext, params: Params<'provision'>): Promise<Result<'provision'>> {
  const now = keyd.now();
  const { deviceId, station, operator, line, requestId } = params;
  const signed = keyd.ticket(params.ticket);
  const { ticket } = signed;
  // Before a unit is taken: a device whose record could not be signed would have to be begun again.
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  const authority = keyd.issuing('manufacturing');
  keyd.ledger.require(issuerKeyId(authority.id), 'protect', now);
  requireTicketTime(ticket, now);
  keyd.state.requireAfterRestore(ticket);
  requireTicketLine(ticket, line);
  requireTicketDevice(ticket, checkDeviceId(deviceId));
  requireLineOperator(keyd, operator);
  const profile = profileOf(keyd.policy, ticket.profile);
  const named = { deviceId };
  const spki = await keyd.checks.request({ csr: params.csr, profile: profile.id, named });
  keyd.state.takeUnit(signed, deviceId, spkiSha256(spki));
  const issued = await authority.issue({
    profile,
    named,
    spki,
    now,
    subject: deviceId,
    requestId,
    ticket: { id: ticket.id, sha256: signed.sha256, quota: ticket.quota },
  });
  const record = provisioningRecord(
    {
      deviceId,
      certificate: issued.certificate,
      issuer: authority.certificate,
      bootstrapCa: keyd.hierarchy.certificates.root,
      ticket,
      operator,
      line,
      station,
      requestId,
      date: now,
    },
    keyd.provenance,
  );
  await keyd.journal.append({
    time: now.toISOString(),
    kind: 'document',
    document: 'provisioning',
    subject: deviceId,
    sha256: toHex(sha256(Buffer.from(record, 'utf8'))),
    requestId,
  });
  const { signature } = await signDocument(record, keyd.evidence);
  return { ...issued, record, signature };
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
