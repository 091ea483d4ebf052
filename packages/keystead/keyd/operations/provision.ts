import { toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { profileOf } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import { provisioningRecord, signDocument } from '../documents.ts';
import type { Params, Result } from '../protocol.ts';
import { requireUnit } from './challenge-attestation.ts';
import { keyWay, requireProofDemanded, withSymmetric } from './key-way.ts';

/**
 * Provisions one unit of a batch: verifies the ticket against the policy's operators, its time, line and range of
 * device ids, by which way the unit came to its key and whether that is enough, takes a unit of its quota, and gives the IDevID with a signed
 * record. The same device with the same key may come again and takes no other unit. REQ-KEY-PROV-01, REQ-KEY-PROV-02
 * @throws KeysteadError `key.use-forbidden`, `key.cryptoperiod-ended`, `ticket.*`, `sign-on.*`, `requester.*`, `operator.*`,
 *   `device.*`, `csr.*`, `key.*`, `attestation.required`, `attestation.challenge-refused`, `element.*`, `injection.*`,
 *   `clock.went-back`, `keyd.journal-failed`.
 */
export async function provision(keyd: KeydContext, params: Params<'provision'>): Promise<Result<'provision'>> {
  const now = keyd.now();
  const { deviceId, requestId, attestation, way } = params;
  const { signed, unit, authority, standing } = requireUnit(keyd, params, now);
  const { ticket } = signed;
  // Before the costly checks; what the way turns out to be is judged again below.
  if (attestation === undefined && way === undefined) requireProofDemanded(keyd.policy, signed, 'proof-of-possession');
  const profile = profileOf(keyd.policy, ticket.profile);
  const named = { deviceId };
  const spki = await keyd.checks.request({ csr: params.csr, profile: profile.id, named });
  const { origin, chips = [] } = keyWay(keyd, { signed, unit }, spki, params, now);
  const key = await withSymmetric(keyd, origin, deviceId, spkiSha256(spki), now);
  // From here to the order of the certificate in one step: what was free is taken, and what is refused took nothing.
  keyd.state.chips.require(deviceId, chips);
  keyd.state.units.require(signed, deviceId, spkiSha256(spki));
  const issue = authority.prepare({
    profile,
    named,
    spki,
    now,
    subject: deviceId,
    requestId,
    ticket: { id: ticket.id, sha256: signed.sha256, quota: ticket.quota },
    ...(chips.length === 0 ? {} : { chips: [...chips] }),
    ...(key.origin === 'injected' ? { keyOrigin: 'keyd' } : {}),
  });
  keyd.state.units.take(signed, deviceId, spkiSha256(spki));
  keyd.state.chips.take(deviceId, chips);
  const issued = await issue();
  const record = provisioningRecord(
    {
      deviceId,
      certificate: issued.certificate,
      issuer: authority.certificate,
      bootstrapCa: keyd.hierarchy.certificates.root,
      ticket,
      ...standing,
      ticketSha256: signed.sha256,
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
