import type { DerCertificate } from '@keystead/core/bytes';
import { certSha256, type Signer, spkiSha256 } from '@keystead/core/crypto';
import type { BatchTicket, ListedIssuer } from '@keystead/core/lifecycle';
import { formatName, readCertificate } from '@keystead/core/x509';
import { stringify } from 'yaml';
import { type KeyOrigin, originFields } from './attestation/index.ts';
import { signVerified } from './sign-verified.ts';

/** What every document of one keyd says of where it was made. */
export interface Provenance {
  readonly software: string;
  readonly policySha256: string;
  readonly logOrigin: string;
  readonly evidenceSigner: DerCertificate;
}

export interface SignedDocument {
  /** YAML 1.2, UTF-8: exactly the bytes that are signed. */
  readonly text: string;
  /** ECDSA with SHA-256 over the bytes, DER. */
  readonly signature: Uint8Array;
}

/** What a provisioning record tells; all of it was checked or made by keyd. */
export interface ProvisionedUnit {
  readonly deviceId: string;
  readonly certificate: DerCertificate;
  readonly issuer: DerCertificate;
  /** The anchor that the device starts from. */
  readonly bootstrapCa: DerCertificate;
  readonly ticket: BatchTicket;
  readonly operator: string;
  readonly line: string;
  readonly station: string;
  readonly requestId: string;
  readonly key: KeyOrigin;
  readonly date: Date;
}

const fingerprint = (der: DerCertificate): string => `sha256:${certSha256(der)}`;

/** The provisioning record of one unit, YAML. REQ-KEY-PROV-02 */
export function provisioningRecord(unit: ProvisionedUnit, provenance: Provenance): string {
  const info = readCertificate(unit.certificate);
  return yaml({
    record: 'keystead provisioning record',
    record_version: 2,
    device_id: unit.deviceId,
    keys: { identity_cert: fingerprint(unit.certificate), bootstrap_ca: fingerprint(unit.bootstrapCa) },
    date: unit.date.toISOString(),
    operator: unit.operator,
    line: unit.line,
    station: unit.station,
    ticket: unit.ticket.id,
    model: unit.ticket.model,
    serial: info.serial,
    issuer: formatName(info.issuer),
    issuer_cert: fingerprint(unit.issuer),
    key_algorithm: info.keyAlgorithm,
    spki_sha256: spkiSha256(info.spki),
    // That possession was proven by the request's signature does not say whether the key sits in hardware.
    key: originFields(unit.key),
    ...origin(unit.requestId, provenance),
  });
}

/** What the evidence of an end of life tells. What was wiped is what the operator said: keyd cannot see it. */
export interface EndOfLife {
  readonly deviceId: string;
  readonly reason: string;
  readonly operator: string;
  readonly wiped: readonly string[];
  readonly revoked: readonly { serial: string; issuer: ListedIssuer; revokedAt: Date; reason: string }[];
  readonly requestId: string;
  readonly date: Date;
}

/** The evidence that a device was decommissioned, YAML. REQ-KEY-WIPE-01 */
export function decommissionEvidence(end: EndOfLife, provenance: Provenance): string {
  return yaml({
    record: 'keystead decommission evidence',
    record_version: 1,
    device_id: end.deviceId,
    date: end.date.toISOString(),
    reason: end.reason,
    operator: end.operator,
    wiped_as_reported: [...end.wiped],
    revoked: end.revoked.map(({ serial, issuer, revokedAt, reason }) => ({
      serial,
      issuer,
      revoked_at: revokedAt.toISOString(),
      reason,
    })),
    ...origin(end.requestId, provenance),
  });
}

const origin = (requestId: string, { software, policySha256, logOrigin, evidenceSigner }: Provenance) => ({
  software,
  policy_sha256: policySha256,
  log_origin: logOrigin,
  request_id: requestId,
  signer_cert: fingerprint(evidenceSigner),
});

/** Every string in quotes: no value is ever read as a number, a date or a boolean by another YAML reader. */
const yaml = (document: Record<string, unknown>): string =>
  stringify(document, { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 });

/** Signs the text with the evidence key. */
export async function signDocument(text: string, signer: Signer): Promise<SignedDocument> {
  return { text, signature: await signVerified(signer, Buffer.from(text, 'utf8')) };
}
