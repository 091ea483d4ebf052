export { type CertificateName, readIssuerAndSerial, readIssuerAndSubject } from './certificate-name.ts';
export { certsOnly, crlsOnly, readCertsOnly } from './certs-only.ts';
export { contentInfo } from './content-info.ts';
export { type EnvelopedContent, envelopedData } from './enveloped-data.ts';
export { CMS_ATTRIBUTES, type CmsDigest, CONTENT_TYPES, type ContentType, TIMESTAMP_TOKEN } from './oids.ts';
export {
  type PlainContent,
  type PlainMessage,
  plainSigned,
  readPlainSigned,
  type UnsignedAttribute,
  unsignedOf,
} from './plain-signed.ts';
export { type EnvelopedMessage, openEnveloped, readEnveloped, type TransportRecipient } from './read-enveloped.ts';
export { type CmsValue, readSigned, type SignedMessage, verifySigned, verifySignedDigest } from './read-signed.ts';
export type { CmsRecipient, RecipientKey } from './recipient.ts';
export { type SignedContent, signedData } from './signed-data.ts';
export {
  type CmsAttribute,
  type DigestParameters,
  digestIdentifier,
  issuerAndSerial,
  type SignedDataParts,
  type SignerParts,
  signedAttributes,
  signedDataOf,
  signerInfo,
} from './signed-parts.ts';
export { signingCertificateV2 } from './signing-certificate.ts';
