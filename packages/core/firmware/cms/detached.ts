import { sha256 } from '../../crypto/index.ts';
import {
  CMS_ATTRIBUTES,
  type CmsAttribute,
  CONTENT_TYPES,
  contentInfo,
  octetString,
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
 * What is signed for content of this digest, SHA-256: contentType, messageDigest, signingTime and signingCertificateV2
 * (RFC 5652 section 11, RFC 5035), DER. The content is hashed once, so the key must sign with SHA-256 too.
 * @throws KeysteadError `firmware.key-unsuitable`.
 */
export function contentAttributes(sha256: Uint8Array, terms: SigningTerms): Uint8Array {
  const { certificate } = cmsSigner(terms, ['sha256']);
  return signedAttributes(CONTENT_TYPES.data, sha256, [
    { oid: CMS_ATTRIBUTES.signingTime, value: time(terms.time) },
    signingCertificateV2(certificate),
  ]);
}

/**
 * {@link contentAttributes} for content that stands elsewhere.
 * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`.
 */
export const detachedAttributes = (subject: Uint8Array, terms: SigningTerms): Uint8Array =>
  contentAttributes(readContentSubject(subject).sha256, terms);

/**
 * The detached signature: a ContentInfo with SignedData, DER, each signer with its chain and, where there is one, the
 * time stamp of its signature (RFC 3161 appendix A).
 * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`.
 */
export const detachedSignature = (subject: Uint8Array, made: readonly MadeSignature[]): Uint8Array =>
  message(readContentSubject(subject).sha256, made);

/** The same with the content in it. @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`. */
export const signedContent = (content: Uint8Array, made: readonly MadeSignature[]): Uint8Array =>
  message(sha256(content), made, octetString(content));

const message = (digestOfContent: Uint8Array, made: readonly MadeSignature[], content?: Uint8Array): Uint8Array =>
  contentInfo(
    'signedData',
    signedDataOf({
      version: 1,
      digests: ['sha256'],
      contentType: CONTENT_TYPES.data,
      content,
      certificates: certificatesOf(made),
      signers: made.map((one) => {
        const { certificate: signer, algorithm, digest } = cmsSigner(one, ['sha256']);
        const { signature } = one;
        const attributes = contentAttributes(digestOfContent, one);
        return signerInfo({ signer, digest, attributes, algorithm, signature, unsigned: timestampOf(one) });
      }),
    }),
  );

const timestampOf = ({ timestamp }: MadeSignature): readonly CmsAttribute[] =>
  timestamp === undefined ? [] : [{ oid: TIMESTAMP_TOKEN, value: timestamp }];
