import type { DerCertificate } from '../../bytes/index.ts';
import type { SignatureAlgorithm } from '../../crypto/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import {
  context,
  integer,
  integerFromBytes,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  tlv,
} from '../der/writer.ts';
import { SIGNATURE_OIDS } from '../oids.ts';
import { CMS_ATTRIBUTES, type CmsDigest, DIGESTS } from './oids.ts';

/**
 * SignedData (RFC 5652 section 5) in the two steps that signing elsewhere needs: first the attributes, which are what
 * is signed, then the message around them and the signature.
 */

/** An attribute besides content type and digest: its OID and its one value, DER. */
export interface CmsAttribute {
  readonly oid: string;
  readonly value: Uint8Array;
}

/** An Attribute with one value (RFC 5652 section 5.3). */
const attribute = ({ oid: id, value }: CmsAttribute): Uint8Array => sequence(oid(id), setOf(value));

/**
 * The signed attributes as they are signed: a SET OF (RFC 5652 section 5.4).
 * @param contentType the dotted OID of the content. @param messageDigest of the content, by the signer's digest.
 */
export const signedAttributes = (
  contentType: string,
  messageDigest: Uint8Array,
  attributes: readonly CmsAttribute[] = [],
): Uint8Array =>
  setOf(
    attribute({ oid: CMS_ATTRIBUTES.contentType, value: oid(contentType) }),
    attribute({ oid: CMS_ATTRIBUTES.messageDigest, value: octetString(messageDigest) }),
    ...attributes.map(attribute),
  );

export interface SignerParts {
  readonly signer: Pick<CertificateInfo, 'issuerDer' | 'serial'>;
  readonly digest: CmsDigest;
  /** As {@link signedAttributes} gave them. */
  readonly attributes: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly unsigned?: readonly CmsAttribute[];
}

/** How the algorithm of a digest is written: without parameters (RFC 5754 section 2), or with the NULL of PKCS #7. */
export type DigestParameters = 'absent' | 'null';

/** AlgorithmIdentifier of a digest, DER. */
export const digestIdentifier = (digest: CmsDigest, parameters: DigestParameters = 'absent'): Uint8Array =>
  sequence(oid(DIGESTS[digest]), ...(parameters === 'null' ? [nullValue()] : []));

/** SignerInfo (RFC 5652 section 5.3) of a signer who is named by issuer and serial number, DER. */
export function signerInfo(
  { signer, digest, attributes, algorithm, signature, unsigned = [] }: SignerParts,
  parameters?: DigestParameters,
): Uint8Array {
  const after = unsigned.map(attribute).sort(Buffer.compare);
  return sequence(
    integer(1),
    issuerAndSerial(signer),
    digestIdentifier(digest, parameters),
    implicitly(0xa0, attributes),
    cmsSignatureAlgorithm(algorithm),
    octetString(signature),
    ...(after.length === 0 ? [] : [tlv(0xa1, ...after)]),
  );
}

export interface SignedDataParts {
  /** 1 for plain data and PKCS #7, 3 for another type of content (RFC 5652 section 5.1). */
  readonly version: 1 | 3;
  /** Each once. */
  readonly digests: readonly CmsDigest[];
  readonly parameters?: DigestParameters;
  /** The dotted OID of the content. */
  readonly contentType: string;
  /** The element that stands in the content's [0], DER; left out for a detached signature. */
  readonly content?: Uint8Array;
  /** Each stands in the message once; a message without certificates is one whose reader has them. */
  readonly certificates: readonly DerCertificate[];
  /** As {@link signerInfo} gave them. */
  readonly signers: readonly Uint8Array[];
}

/** SignedData, DER, without the ContentInfo around it. */
export function signedDataOf(parts: SignedDataParts): Uint8Array {
  const { version, digests, parameters, contentType, content, certificates, signers } = parts;
  const sorted = [...certificates].sort(Buffer.compare);
  const once = sorted.filter((der, index) => Buffer.compare(der, sorted[index - 1] ?? Uint8Array.of()) !== 0);
  const wrapped = content === undefined ? [] : [context(0, content)];
  const encap = sequence(oid(contentType), ...wrapped);
  try {
    return sequence(
      integer(version),
      setOf(...digests.map((digest) => digestIdentifier(digest, parameters))),
      encap,
      ...(once.length === 0 ? [] : [context(0, ...once)]),
      setOf(...signers),
    );
  } finally {
    // The content may be a private key: of it, the caller's copy and the result alone are left.
    for (const copy of [...wrapped, encap]) copy.fill(0);
  }
}

/** IssuerAndSerialNumber (RFC 5652 section 10.2.4), DER. */
export const issuerAndSerial = ({ issuerDer, serial }: Pick<CertificateInfo, 'issuerDer' | 'serial'>): Uint8Array =>
  sequence(issuerDer, integerFromBytes(Buffer.from(serial, 'hex')));

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
