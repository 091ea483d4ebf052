import { type DerSpki, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { profileOf, requireTicketKeyOrigin, type SignedTicket } from '@keystead/core/lifecycle';
import type { KeyOrigin, UnitAtLine } from '../attestation/index.ts';
import type { KeydContext } from '../context.ts';
import { provisioningRecord, signDocument } from '../documents.ts';
import type { Params, Result } from '../protocol.ts';
import { requireUnit } from './challenge-attestation.ts';

/**
 * Provisions one unit of a batch: verifies the ticket against the policy's operators, its time, line and range of
 * device ids, whether the key must be attested and is, takes a unit of its quota, and gives the IDevID with a signed
 * record. The same device with the same key may come again and takes no other unit. REQ-KEY-PROV-01, REQ-KEY-PROV-02
 * @throws KeysteadError `key.use-forbidden`, `key.cryptoperiod-ended`, `ticket.*`, `operator.*`, `device.*`, `csr.*`, `key.*`,
 *   `attestation.required`, `attestation.challenge-refused`, `clock.went-back`, `keyd.journal-failed`.
 */
export async function provision(keyd: KeydContext, params: Params<'provision'>): Promise<Result<'provision'>> {
  const now = keyd.now();
  const { deviceId, station, operator, line, requestId, attestation } = params;
  const { signed, unit, authority } = requireUnit(keyd, params, now);
  const { ticket } = signed;
  if (attestation === undefined) requireNoneDemanded(keyd, signed);
  const profile = profileOf(keyd.policy, ticket.profile);
  const named = { deviceId };
  const spki = await keyd.checks.request({ csr: params.csr, profile: profile.id, named });
  const key = originOf(keyd, unit, spki, attestation, now);
  requireTicketKeyOrigin(ticket, key.origin);
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
      ticketSha256: signed.sha256,
      operator,
      line,
      station,
      requestId,
      key,
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
    unit: { serial: issued.serial, keyOrigin: key.origin },
  });
  const { signature } = await signDocument(record, keyd.evidence);
  return { ...issued, record, signature, key };
}

/** REQ-KEY-GEN-03 */
function requireNoneDemanded(keyd: KeydContext, { ticket }: SignedTicket): void {
  if (ticket.attestation === 'required') {
    throw new KeysteadError('attestation.required', { field: 'ticket', seen: ticket.id });
  }
  if (keyd.policy.attestation?.required === true) {
    throw new KeysteadError('attestation.required', { field: 'policy', seen: 'attestation.required: true' });
  }
}

function originOf(
  keyd: KeydContext,
  unit: UnitAtLine,
  spki: DerSpki,
  answer: Params<'provision'>['attestation'],
  now: Date,
): KeyOrigin {
  if (answer === undefined) return { origin: 'proof-of-possession' };
  try {
    return keyd.attestation.verify(answer.challengeId, unit, spki, answer.secret, now);
  } finally {
    answer.secret.fill(0);
  }
}
