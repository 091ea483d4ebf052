import { createHash } from 'node:crypto';
import type { DerCertificate } from '../../bytes/index.ts';
import { DIGEST_OF, type SignatureAlgorithm, type Signer } from '../../crypto/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { octetString } from '../der/writer.ts';
import { type CmsDigest, CONTENT_TYPES, type ContentType } from './oids.ts';
import { type CmsAttribute, signedAttributes, signedDataOf, signerInfo } from './signed-parts.ts';

export interface SignedContent {
  readonly type: ContentType;
  /** Left out for a message that says all in its attributes (RFC 8894 section 3.2.1.2). */
  readonly content?: Uint8Array;
  readonly attributes?: readonly CmsAttribute[];
  /** The signer's certificate. */
  readonly signer: CertificateInfo;
  /** Further certificates that a reader needs. */
  readonly certificates?: readonly DerCertificate[];
}

/**
 * SignedData with one signer (RFC 5652 section 5), DER, without the ContentInfo around it. The version of what is not
 * plain data is 3 (section 5.1).
 * @param key an ECDSA or RSA key; the signer's. @throws RangeError for an Ed25519 key, which CMS takes with SHA-512 only.
 */
export async function signedData(
  { type, content, attributes = [], signer, certificates = [] }: SignedContent,
  key: Signer,
): Promise<Uint8Array> {
  const { signatureAlgorithm: algorithm } = key;
  const digest = digestOf(algorithm);
  const contentType = CONTENT_TYPES[type];
  const hash = createHash(digest)
    .update(content ?? new Uint8Array())
    .digest();
  const signed = signedAttributes(contentType, hash, attributes);
  const signature = await key.sign(signed);
  const octets = content === undefined ? undefined : octetString(content);
  try {
    return signedDataOf({
      version: type === 'data' ? 1 : 3,
      digests: [digest],
      contentType,
      content: octets,
      certificates: [signer.der, ...certificates],
      signers: [signerInfo({ signer, digest, attributes: signed, algorithm, signature })],
    });
  } finally {
    // What is signed may be a private key: only the caller's copy and the result are left of it.
    octets?.fill(0);
  }
}

function digestOf(algorithm: SignatureAlgorithm): CmsDigest {
  const digest = DIGEST_OF[algorithm];
  if (digest === null) throw new RangeError(`${algorithm} signs no CMS message here`);
  return digest;
}
