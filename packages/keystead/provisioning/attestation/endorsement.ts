import { type DerCertificate, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type CertificateInfo, checkPath, readCertificate } from '@keystead/core/x509';
import { decodePublic, ENDORSEMENT_KINDS, fromTemplate, type KeyPublic, spkiOf } from '@keystead/tpm2';

/** tcg-kp-EKCertificate (TCG EK Credential Profile 2.5 section 3.2.16). */
const EK_PURPOSE = '2.23.133.8.1';

/** Which TPMs are believed: the roots of their makers, and CAs between. */
export interface EndorsementTrust {
  readonly roots: readonly DerCertificate[];
  readonly intermediates: readonly DerCertificate[];
}

/** An endorsement key of a TPM whose maker is trusted. */
export interface EndorsementKey {
  readonly area: KeyPublic;
  readonly certificate: CertificateInfo;
}

const refused = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('attestation.ek-refused', { field, seen, cause });

/**
 * The endorsement key of a certificate: its path leads to a configured root, it is one for endorsement keys, and the
 * public area is its key, made from a template of the EK Credential Profile (so: restricted, fixed to its TPM).
 * Makers do not revoke through OCSP; whoever has a list of theirs must look there beside this.
 * @throws KeysteadError `attestation.ek-refused`.
 */
export function verifyEndorsement(
  certificate: Uint8Array,
  publicArea: Uint8Array,
  trust: EndorsementTrust,
  now: Date,
): EndorsementKey {
  const area = readArea(publicArea);
  if (!ENDORSEMENT_KINDS.some(({ template }) => fromTemplate(area, template))) {
    throw refused('EK public area', 'from no template of the EK Credential Profile');
  }
  const der = certificate as DerCertificate;
  const path = checkPath(der, trust.intermediates, trust.roots, { now });
  if (!path.ok) throw refused('EK certificate', `${path.rule} at ${path.at}: ${path.detail}`);
  const read = readCertificate(der);
  if (read.ca || !read.extKeyUsage.includes(EK_PURPOSE))
    throw refused('EK certificate', 'not one for an endorsement key');
  if (!sameBytes(read.spki, spkiOf(area))) throw refused('EK certificate', 'one of another key');
  return { area, certificate: read };
}

function readArea(bytes: Uint8Array): KeyPublic {
  try {
    const area = decodePublic(bytes);
    if (area.type !== 'sealed') return area;
  } catch (cause) {
    throw refused('EK public area', cause instanceof Error ? cause.message : 'an error', cause);
  }
  throw refused('EK public area', 'no key');
}
