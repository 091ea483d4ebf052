import { type DerCertificate, type SpkiSha256, sameBytes } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type AttestationPolicy, makerCertificate } from '@keystead/core/lifecycle';
import { type CertificateInfo, checkPath, readCertificate } from '@keystead/core/x509';
import { decodePublic, ENDORSEMENT_KINDS, fromTemplate, type KeyPublic, spkiOf } from '@keystead/tpm2';

/** tcg-kp-EKCertificate (TCG EK Credential Profile 2.5 section 3.2.16). */
const EK_PURPOSE = '2.23.133.8.1';

/** Which TPMs are believed. */
export interface EndorsementTrust {
  /** Roots of makers, and CAs between. */
  readonly roots: readonly DerCertificate[];
  readonly intermediates: readonly DerCertificate[];
  /** Endorsement keys that need no certificate. */
  readonly keys: ReadonlySet<string>;
}

/** The makers and keys that a policy names. */
export const endorsementTrust = (policy: AttestationPolicy): EndorsementTrust => ({
  roots: policy.anchors.map(makerCertificate),
  intermediates: (policy.intermediates ?? []).map(makerCertificate),
  keys: new Set(policy.endorsementKeys),
});

/** An endorsement key that is believed. */
export interface EndorsementKey {
  readonly area: KeyPublic;
  readonly spkiSha256: SpkiSha256;
  /** Undefined where the policy names the key itself. */
  readonly certificate: CertificateInfo | undefined;
}

const refused = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('attestation.ek-refused', { field, seen, cause });

/**
 * The endorsement key of a public area: it was made from a template of the EK Credential Profile (so: restricted, fixed
 * to its TPM), and it is the key of a certificate for endorsement keys whose path leads to a maker that the policy
 * names; or, without a certificate, the policy names the key itself. Makers do not revoke through OCSP; whoever has a
 * list of theirs must look there beside this.
 * @param certificate DER; one that is given must hold, also where the policy names the key.
 * @throws KeysteadError `attestation.ek-refused`.
 */
export function verifyEndorsement(
  certificate: Uint8Array | undefined,
  publicArea: Uint8Array,
  trust: EndorsementTrust,
  now: Date,
): EndorsementKey {
  const area = readArea(publicArea);
  if (!ENDORSEMENT_KINDS.some(({ template }) => fromTemplate(area, template))) {
    throw refused('EK public area', 'from no template of the EK Credential Profile');
  }
  const spki = spkiOf(area);
  const hash = spkiSha256(spki);
  if (certificate === undefined) {
    if (trust.keys.has(hash)) return { area, spkiSha256: hash, certificate: undefined };
    throw refused('EK certificate', `none, and ${hash} is no endorsement key of the policy`);
  }
  const der = certificate as DerCertificate;
  const path = checkPath(der, trust.intermediates, trust.roots, { now });
  if (!path.ok) throw refused('EK certificate', `${path.rule} at ${path.at}: ${path.detail}`);
  const read = readCertificate(der);
  if (read.ca || !read.extKeyUsage.includes(EK_PURPOSE))
    throw refused('EK certificate', 'not one for an endorsement key');
  if (!sameBytes(read.spki, spki)) throw refused('EK certificate', 'one of another key');
  return { area, spkiSha256: hash, certificate: read };
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
