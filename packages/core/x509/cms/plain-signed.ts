import { type DerCertificate, sameBytes } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { DerError, type DerNode, readInteger, readOid } from '../der/strict.ts';
import { context, integer, octetString, oid, sequence, setOf, tlv } from '../der/writer.ts';
import { SIGNATURE_OIDS } from '../oids.ts';
import { contentInfo, readContentInfo } from './content-info.ts';
import { CONTENT_TYPES, DIGESTS } from './oids.ts';
import { issuerAndSerial } from './signed-parts.ts';

const MAX_CERTIFICATES = 8;
const MAX_UNSIGNED = 4;

/** An attribute that is not signed: its OBJECT IDENTIFIER and the octets of the one OCTET STRING that it holds. */
export interface UnsignedAttribute {
  /** DER. A UUID as an OID (X.667) has an arc of 128 bits, which no dotted form here holds. */
  readonly type: Uint8Array;
  readonly octets: Uint8Array;
}

/** What has been signed already, by whom, and what a reader needs besides. */
export interface PlainContent {
  readonly content: Uint8Array;
  /** ECDSA with SHA-256 over the content itself, DER. */
  readonly signature: Uint8Array;
  readonly signer: CertificateInfo;
  readonly certificates: readonly DerCertificate[];
  readonly unsigned: readonly UnsignedAttribute[];
}

/**
 * A ContentInfo with SignedData over plain data and without signed attributes, DER. The signature of such a one is over
 * the octets of the content alone (RFC 5652 section 5.4), so that one which was made before, and outside of CMS, is
 * taken as it is: nobody signs anything here.
 */
export function plainSigned({ content, signature, signer, certificates, unsigned }: PlainContent): Uint8Array {
  const digest = sequence(oid(DIGESTS.sha256));
  const attributes = unsigned.map(({ type, octets }) => sequence(type, setOf(octetString(octets))));
  const info = sequence(
    integer(1),
    issuerAndSerial(signer),
    digest,
    sequence(oid(SIGNATURE_OIDS['ecdsa-with-SHA256'])),
    octetString(signature),
    ...(attributes.length === 0 ? [] : [tlv(0xa1, ...attributes.sort(Buffer.compare))]),
  );
  return contentInfo(
    'signedData',
    sequence(
      integer(1),
      setOf(digest),
      sequence(oid(CONTENT_TYPES.data), context(0, octetString(content))),
      // A SET too: in ascending order (X.690 section 11.6).
      tlv(0xa0, ...[signer.der, ...certificates].sort(Buffer.compare)),
      setOf(info),
    ),
  );
}

/** As {@link plainSigned} made it, or anybody else. Its signature is not verified. */
export interface PlainMessage {
  readonly content: Uint8Array;
  readonly certificates: readonly DerCertificate[];
  /** IssuerAndSerialNumber of the signer, DER: which of the certificates it is. */
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
  readonly unsigned: readonly UnsignedAttribute[];
}

/**
 * Reads one. A message with signed attributes is none: where both forms were taken, what was signed as one could be
 * shown as the other.
 * @param der at most 64 KiB.
 * @throws KeysteadError `cms.message-malformed`; `cms.algorithm` for another way of signing.
 */
export const readPlainSigned = (der: Uint8Array): PlainMessage => readContentInfo(der, 'signedData', readData);

function readData(data: DerNode): PlainMessage {
  data.counted(5, 5, 'SignedData');
  requireVersion1(data);
  const digests = data.child(1, 0x31, 'digestAlgorithms').counted(1, 1, 'digestAlgorithms');
  const encap = data.child(2, 0x30, 'encapContentInfo').counted(2, 2, 'encapContentInfo');
  if (readOid(encap.children[0], 'eContentType') !== CONTENT_TYPES.data)
    throw new DerError('the content is not plain data');
  const content = encap.child(1, 0xa0, 'eContent').counted(1, 1, 'eContent').child(0, 0x04, 'eContent').value;
  const certificates = data.child(3, 0xa0, 'the certificates').counted(1, MAX_CERTIFICATES, 'the certificates');
  const info = data.child(4, 0x31, 'signerInfos').counted(1, 1, 'signerInfos').child(0, 0x30, 'the signer');
  info.counted(5, 6, 'the signer');
  requireVersion1(info);
  if (info.children[3]?.tag === 0xa0) throw new DerError('there are signed attributes, where none may be');
  requireAlgorithms(digests, info);
  const unsigned = info.children[5]?.expect(0xa1, 'unsignedAttrs').counted(1, MAX_UNSIGNED, 'unsignedAttrs');
  return {
    content,
    certificates: certificates.children.map((node) => node.expect(0x30, 'a certificate').bytes as DerCertificate),
    signer: info.child(1, 0x30, 'issuerAndSerialNumber').bytes,
    signature: info.child(4, 0x04, 'the signature').value,
    unsigned: (unsigned?.children ?? []).map(readAttribute),
  };
}

/** Of SignedData over plain data, and of a signer who is named by issuer and serial number (RFC 5652 sections 5.1, 5.3). */
function requireVersion1(node: DerNode): void {
  if (readInteger(node.child(0, 0x02, 'the version'), 'the version') !== 1n) throw new DerError('the version is not 1');
}

/** SHA-256, without parameters or with the NULL that older writers put there (RFC 5754 section 2), and ECDSA with it. */
function requireAlgorithms(digests: DerNode, info: DerNode): void {
  const announced = readOid(digests.child(0, 0x30, 'digestAlgorithm').children[0], 'digestAlgorithm');
  const digest = info.child(2, 0x30, 'digestAlgorithm').counted(1, 2, 'digestAlgorithm');
  const signature = info.child(3, 0x30, 'signatureAlgorithm').counted(1, 1, 'signatureAlgorithm');
  const seen = [announced, readOid(digest.children[0], 'digest'), readOid(signature.children[0], 'signature')].join(
    ', ',
  );
  const expected = `${DIGESTS.sha256}, ${DIGESTS.sha256}, ${SIGNATURE_OIDS['ecdsa-with-SHA256']}`;
  if (seen !== expected) throw new KeysteadError('cms.algorithm', { field: 'signerInfo', seen });
}

function readAttribute(node: DerNode): UnsignedAttribute {
  node.expect(0x30, 'an attribute').counted(2, 2, 'an attribute');
  const values = node.child(1, 0x31, 'the values of an attribute').counted(1, 1, 'the values of an attribute');
  return {
    type: node.child(0, 0x06, 'an attribute type').bytes,
    octets: values.child(0, 0x04, 'the value of an attribute').value,
  };
}

/** The octets of the attribute of this type (DER of its OID), or undefined. */
export const unsignedOf = (message: PlainMessage, type: Uint8Array): Uint8Array | undefined =>
  message.unsigned.find((one) => sameBytes(one.type, type))?.octets;
