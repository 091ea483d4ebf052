import type { DerCertificate } from '@keystead/core/bytes';
import { certSha256, type Signer, spkiSha256 } from '@keystead/core/crypto';
import type { BatchTicket, ListedIssuer } from '@keystead/core/lifecycle';
import { formatName, NO_END, readCertificate } from '@keystead/core/x509';
import { stringify } from 'yaml';
import { type KeyOrigin, originFields } from './attestation/index.ts';
import { meaningOf } from './origin-meaning.ts';
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
  /** SHA-256 of the ticket's payload, hex: which ticket of this id. */
  readonly ticketSha256: string;
  readonly operator: string;
  readonly line: string;
  readonly station: string;
  /** SHA-256 of the operator's sign-on at the station, hex, where there was one. */
  readonly signOnSha256?: string;
  readonly requestId: string;
  readonly key: KeyOrigin;
  readonly date: Date;
}

const fingerprint = (der: DerCertificate): string => `sha256:${certSha256(der)}`;

/**
 * The provisioning record of one unit, YAML; docs/records.md tells what each field says. Its first word is `record:`,
 * so that what the evidence key signs is never taken for DER, of which a SET begins with `1` (RFC 5652 section 5.4).
 * REQ-KEY-PROV-02
 */
export function provisioningRecord(unit: ProvisionedUnit, provenance: Provenance): string {
  const info = readCertificate(unit.certificate);
  return yaml({
    record: 'keystead provisioning record',
    record_version: 3,
    device_id: unit.deviceId,
    keys: { identity_cert: fingerprint(unit.certificate), bootstrap_ca: fingerprint(unit.bootstrapCa) },
    date: unit.date.toISOString(),
    operator: unit.operator,
    line: unit.line,
    station: unit.station,
    ...(unit.signOnSha256 === undefined ? {} : { sign_on: `sha256:${unit.signOnSha256}` }),
    ticket: unit.ticket.id,
    ticket_sha256: unit.ticketSha256,
    model: unit.ticket.model,
    profile: unit.ticket.profile,
    serial: info.serial,
    not_before: info.notBefore.toISOString(),
    not_after: info.notAfter.getTime() === NO_END.getTime() ? 'without end' : info.notAfter.toISOString(),
    issuer: formatName(info.issuer),
    issuer_cert: fingerprint(unit.issuer),
    key_algorithm: info.keyAlgorithm,
    spki_sha256: spkiSha256(info.spki),
    // That possession was proven by the request's signature does not say whether the key sits in hardware.
    key: { ...originFields(unit.key), meaning: meaningOf(unit.key.origin) },
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
  stringify(document, { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 }).replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/**
 * What may stand in no YAML stream as it is (YAML 1.2.2 section 5.1, c-printable), the byte order mark, and what is the end
 * of a line to a reader of YAML 1.1: only within the quotes of a text, where its escape means the same.
 */
const UNPRINTABLE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Signs the text with the evidence key. */
export async function signDocument(text: string, signer: Signer): Promise<SignedDocument> {
  return { text, signature: await signVerified(signer, Buffer.from(text, 'utf8')) };
}
