import {
  CMS_ATTRIBUTES,
  type CmsAttribute,
  CONTENT_TYPES,
  contentInfo,
  signedAttributes,
  signedDataOf,
  signerInfo,
  signingCertificateV2,
  TIMESTAMP_TOKEN,
  time,
} from '../../x509/index.ts';
import type { MadeSignature, SigningTerms } from '../format.ts';
import { readContentSubject } from './content-subject.ts';
import { certificatesOf, cmsSigner } from './signers.ts';

/**
 * What is signed for content that stands elsewhere: contentType, messageDigest, signingTime and signingCertificateV2
 * (RFC 5652 section 11, RFC 5035), DER. The content is hashed with SHA-256 once, so the key must sign with it too.
 * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`.
 */
export function detachedAttributes(subject: Uint8Array, terms: SigningTerms): Uint8Array {
  const { sha256 } = readContentSubject(subject);
  const { certificate } = cmsSigner(terms, ['sha256']);
  return signedAttributes(CONTENT_TYPES.data, sha256, [
    { oid: CMS_ATTRIBUTES.signingTime, value: time(terms.time) },
    signingCertificateV2(certificate),
  ]);
}

/**
 * The detached signature: a ContentInfo with SignedData, DER, each signer with its chain and, where there is one, the
 * time stamp of its signature (RFC 3161 appendix A).
 * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`.
 */
export const detachedSignature = (subject: Uint8Array, made: readonly MadeSignature[]): Uint8Array =>
  contentInfo(
    'signedData',
    signedDataOf({
      version: 1,
      digests: ['sha256'],
      contentType: CONTENT_TYPES.data,
      certificates: certificatesOf(made),
      signers: made.map((one) => {
        const { certificate: signer, algorithm, digest } = cmsSigner(one, ['sha256']);
        const { signature } = one;
        const attributes = detachedAttributes(subject, one);
        return signerInfo({ signer, digest, attributes, algorithm, signature, unsigned: timestampOf(one) });
      }),
    }),
  );

const timestampOf = ({ timestamp }: MadeSignature): readonly CmsAttribute[] =>
  timestamp === undefined ? [] : [{ oid: TIMESTAMP_TOKEN, value: timestamp }];
