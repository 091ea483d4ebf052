import { type DerCertificate, type DerSpki, fromBase64, sameBytes, toHex } from '@keystead/core/bytes';
import { sha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { ConsignedUnit, ParcelContent } from '@keystead/core/lifecycle';
import {
  type CertificateInfo,
  checkPublicKey,
  deviceIdOf,
  readCertificate,
  signatureAlgorithmFor,
} from '@keystead/core/x509';

/** What headquarters knows a factory by. */
export interface ConsigningFactory {
  readonly name: string;
  /** Every certificate that its manufacturing sub-CA has had. */
  readonly manufacturing: readonly CertificateInfo[];
  /** Every key that has signed its records and consignments. */
  readonly evidence: readonly DerSpki[];
  /** What its device ids begin with. */
  readonly deviceIdPrefixes: readonly string[];
  /** When it was closed; undefined while it works. */
  readonly closedAt: Date | undefined;
}

const EVIDENCE_KEYS = ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'] as const;

/**
 * Verifies that certificate, record and signature are those of the unit: the certificate by this factory's sub-CA, for
 * this device, serial number and key; the record the very one of the consignment, signed by the factory's evidence key.
 * @returns what the certificate says.
 * @throws KeysteadError `consignment.unit-differs` with the unit and what is wrong.
 */
export function verifyContent(
  unit: ConsignedUnit,
  content: ParcelContent,
  { manufacturing, evidence }: ConsigningFactory,
  field: string,
): CertificateInfo {
  const differs = (what: string, seen: string): KeysteadError =>
    new KeysteadError('consignment.unit-differs', { field: `${field}.${what}`, seen: `${unit.deviceId}: ${seen}` });
  let info: CertificateInfo;
  try {
    info = readCertificate(fromBase64(content.certificate) as DerCertificate);
  } catch (cause) {
    throw new KeysteadError('consignment.unit-differs', {
      field: `${field}.certificate`,
      seen: 'no certificate',
      cause,
    });
  }
  if (info.serial !== unit.serial) throw differs('certificate', `serial ${info.serial}`);
  if (info.spkiSha256 !== unit.spkiSha256) throw differs('certificate', `the key ${info.spkiSha256}`);
  if (info.ca || deviceIdOf(info.san) !== unit.deviceId) throw differs('certificate', `a certificate of ${info.san}`);
  if (!manufacturing.some((ca) => isIssuedBy(info, ca)))
    throw differs('certificate', 'a certificate of another issuer');
  const record = Buffer.from(content.record, 'utf8');
  if (toHex(sha256(record)) !== unit.recordSha256) throw differs('record', 'another record');
  const signature = fromBase64(content.signature);
  if (!evidence.some((spki) => isSignedBy(record, signature, spki))) throw differs('signature', 'one of another key');
  return info;
}

function isIssuedBy(info: CertificateInfo, ca: CertificateInfo): boolean {
  const algorithm = info.signatureAlgorithm;
  return (
    algorithm !== undefined &&
    sameBytes(info.issuerDer, ca.subjectDer) &&
    verifySignature(algorithm, ca.spki, info.tbs, info.signature)
  );
}

const isSignedBy = (bytes: Uint8Array, signature: Uint8Array, spki: DerSpki): boolean =>
  verifySignature(signatureAlgorithmFor(checkPublicKey(spki, EVIDENCE_KEYS)), spki, bytes, signature);
