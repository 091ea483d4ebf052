import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { type KeyAlgorithm, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { makerCertificate, type SecureElementPolicy } from '@keystead/core/lifecycle';
import {
  type CertificateInfo,
  checkPath,
  checkPublicKey,
  formatName,
  nameValues,
  readCertificate,
} from '@keystead/core/x509';
import type { ChipFacts } from './key-origin.ts';

/** A chip whose certificate leads to a maker that is believed. */
export interface Chip {
  readonly certificate: CertificateInfo;
  readonly algorithm: KeyAlgorithm;
  readonly facts: ChipFacts;
  /**
   * By what the chip is known again, each hex of a SHA-256: its certified key, and its maker's name with the serial
   * number in its subject. A maker that certifies two keys of one chip gives both the same serial number.
   */
  readonly ids: readonly string[];
}

/** What a maker may have certified; chips in the field have P-256. */
const CHIP_KEYS: readonly KeyAlgorithm[] = ['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'RSA-3072', 'RSA-4096'];

const refused = (seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('element.chip-refused', { field: 'chip certificate', seen, cause });

/**
 * The chip of a certificate whose path leads to a maker of secure elements that the policy names (RFC 5280 section 6),
 * under one of the policy's certificate policies where it names any. CAs that are shown besides are believed by the path
 * alone. Makers' lists of revoked chips are not fetched.
 * @param chain DER, the chip's own certificate first.
 * @throws KeysteadError `element.not-configured`, `element.chip-refused`, `key.*`.
 */
export function verifyChip(chain: readonly DerCertificate[], policy: SecureElementPolicy | undefined, now: Date): Chip {
  if (policy === undefined) throw new KeysteadError('element.not-configured', { field: 'attestation.secureElements' });
  const [leaf, ...shown] = chain;
  if (leaf === undefined) throw refused('none');
  const between = [...(policy.intermediates ?? []).map(makerCertificate), ...shown];
  const { policies } = policy;
  const path = checkPath(leaf, between, policy.anchors.map(makerCertificate), {
    now,
    ...(policies === undefined ? {} : { policies, requireExplicitPolicy: true }),
  });
  if (!path.ok) throw refused(`${path.rule} at ${path.at}: ${path.detail}`);
  const certificate = readCertificate(leaf);
  if (certificate.ca) throw refused('a certificate of a CA');
  const { keyUsage } = certificate;
  // Without the extension the key may do anything (RFC 5280 section 4.2.1.3).
  if (keyUsage.length > 0 && !keyUsage.includes('digitalSignature') && !keyUsage.includes('keyAgreement'))
    throw refused(`a key for ${keyUsage.join(', ')}`);
  return {
    certificate,
    algorithm: checkPublicKey(certificate.spki, CHIP_KEYS),
    facts: factsOf(certificate),
    ids: idsOf(certificate),
  };
}

/** Whether its certificate lets the chip's key sign. */
export const maySign = ({ certificate: { keyUsage } }: Chip): boolean =>
  keyUsage.length === 0 || keyUsage.includes('digitalSignature');

const serialOf = ({ subject }: CertificateInfo): string | undefined => nameValues(subject, 'serialNumber')[0];

const factsOf = (certificate: CertificateInfo): ChipFacts => ({
  chipCertificateSha256: certificate.sha256,
  chipSpkiSha256: certificate.spkiSha256,
  chipIssuer: formatName(certificate.issuer),
  chipSerial: serialOf(certificate) ?? certificate.serial,
});

function idsOf(certificate: CertificateInfo): string[] {
  const serial = serialOf(certificate);
  if (serial === undefined) return [certificate.spkiSha256];
  // The name ends where its own DER says, so that no serial number can be read as a part of it.
  const named = toHex(sha256(Buffer.concat([certificate.issuerDer, Buffer.from(serial, 'utf8')])));
  return [certificate.spkiSha256, named];
}
