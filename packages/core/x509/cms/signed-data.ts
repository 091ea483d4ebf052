import { createHash } from 'node:crypto';
import type { DerCertificate } from '../../bytes/index.ts';
import { DIGEST_OF, type SignatureAlgorithm, type Signer } from '../../crypto/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { context, integer, integerFromBytes, nullValue, octetString, oid, sequence, setOf } from '../der/writer.ts';
import { SIGNATURE_OIDS } from '../oids.ts';
import { CMS_ATTRIBUTES, type CmsDigest, CONTENT_TYPES, type ContentType, DIGESTS } from './oids.ts';

/** A signed attribute besides content type and digest: its OID and its one value, DER. */
export interface CmsAttribute {
  readonly oid: string;
  readonly value: Uint8Array;
}

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
  const digest = digestOf(key.signatureAlgorithm);
  const digestAlgorithm = sequence(oid(DIGESTS[digest]));
  const hash = createHash(digest)
    .update(content ?? new Uint8Array())
    .digest();
  const signed = setOf(
    attribute(CMS_ATTRIBUTES.contentType, oid(CONTENT_TYPES[type])),
    attribute(CMS_ATTRIBUTES.messageDigest, octetString(hash)),
    ...attributes.map(({ oid: id, value }) => attribute(id, value)),
  );
  const signature = await key.sign(signed);
  const info = sequence(
    integer(1),
    issuerAndSerial(signer),
    digestAlgorithm,
    implicitly(0xa0, signed),
    cmsSignatureAlgorithm(key.signatureAlgorithm),
    octetString(signature),
  );
  const octets = content === undefined ? [] : [octetString(content)];
  const eContent = octets.map((one) => context(0, one));
  const encap = sequence(oid(CONTENT_TYPES[type]), ...eContent);
  try {
    return sequence(
      integer(type === 'data' ? 1 : 3),
      setOf(digestAlgorithm),
      encap,
      context(0, signer.der, ...certificates),
      setOf(info),
    );
  } finally {
    // What is signed may be a private key: only the caller's copy and the result are left of it.
    for (const copy of [...octets, ...eContent, encap]) copy.fill(0);
  }
}

/** IssuerAndSerialNumber (RFC 5652 section 10.2.4), DER. */
export const issuerAndSerial = ({ issuerDer, serial }: Pick<CertificateInfo, 'issuerDer' | 'serial'>): Uint8Array =>
  sequence(issuerDer, integerFromBytes(Buffer.from(serial, 'hex')));

/** An Attribute with one value (RFC 5652 section 5.3). */
const attribute = (id: string, value: Uint8Array): Uint8Array => sequence(oid(id), setOf(value));

/** The same element under another tag: a copy. */
function implicitly(tag: number, element: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(element);
  copy[0] = tag;
  return copy;
}

/** RSA as rsaEncryption, which the oldest readers know (RFC 3370 section 3.2); ECDSA by its own name (RFC 5754). */
const cmsSignatureAlgorithm = (algorithm: SignatureAlgorithm): Uint8Array =>
  algorithm.endsWith('RSAEncryption')
    ? sequence(oid('1.2.840.113549.1.1.1'), nullValue())
    : sequence(oid(SIGNATURE_OIDS[algorithm]));

function digestOf(algorithm: SignatureAlgorithm): CmsDigest {
  const digest = DIGEST_OF[algorithm];
  if (digest === null) throw new RangeError(`${algorithm} signs no CMS message here`);
  return digest;
}
