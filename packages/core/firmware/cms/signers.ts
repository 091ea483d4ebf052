import type { DerCertificate } from '../../bytes/index.ts';
import { DIGEST_OF, isPss, type SignatureAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type CertificateInfo, type CmsDigest, readCertificate } from '../../x509/index.ts';
import type { FormatKey, MadeSignature, SigningTerms } from '../format.ts';
import { malformed } from '../malformed.ts';
import { described, signerKey } from '../signer-key.ts';

/** Who signs a CMS message, and how. */
export interface CmsSigner {
  readonly certificate: CertificateInfo;
  readonly algorithm: SignatureAlgorithm;
  readonly digest: CmsDigest;
}

/** Whether a message is signed by such a key: over one of the digests, and not by RSASSA-PSS (RFC 4056), which few read. */
export const signsCms = ({ scheme }: FormatKey, digests: readonly CmsDigest[] = ['sha256', 'sha384']): boolean =>
  digests.some((one) => one === DIGEST_OF[scheme]) && !isPss(scheme);

/**
 * The signer with its algorithms.
 * @param digests that the format knows; a CMS message is hashed as its signature is (RFC 5652 section 5.4).
 * @throws KeysteadError `firmware.key-unsuitable`, `cert.not-der`.
 */
export function cmsSigner(
  terms: Pick<SigningTerms, 'signer' | 'scheme'>,
  digests: readonly CmsDigest[] = ['sha256', 'sha384'],
): CmsSigner {
  const key = signerKey(terms);
  const { scheme: algorithm } = key;
  const digest = DIGEST_OF[algorithm];
  if (digest !== null && digests.includes(digest) && !isPss(algorithm))
    return { certificate: readCertificate(terms.signer), algorithm, digest };
  throw new KeysteadError('firmware.key-unsuitable', {
    field: 'signer',
    seen: described(key),
    remedy: `sign with a key whose signatures are over ${digests.join(' or ').toUpperCase().replaceAll('SHA', 'SHA-')}: its \`signature\` in the policy says so`,
  });
}

/** The signers' certificates, each with its chain. @throws KeysteadError `firmware.malformed` for none. */
export function certificatesOf(made: readonly MadeSignature[]): readonly DerCertificate[] {
  if (made.length === 0) throw malformed('signatures', 'none');
  return made.flatMap(({ signer, chain }) => [signer, ...chain]);
}
