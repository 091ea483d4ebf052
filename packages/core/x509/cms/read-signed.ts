import { createHash } from 'node:crypto';
import { type DerCertificate, type DerSpki, sameBytes } from '../../bytes/index.ts';
import { type SignatureAlgorithm, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readOid } from '../der/strict.ts';
import { oid } from '../der/writer.ts';
import { KEY_OIDS, SIGNATURE_OIDS } from '../oids.ts';
import { readContentInfo } from './content-info.ts';
import { CMS_ATTRIBUTES, type CmsDigest, DIGESTS } from './oids.ts';

const MAX_CERTIFICATES = 8;
const MAX_ATTRIBUTES = 16;

/** The value of an attribute: its identifier octet and its content. */
export interface CmsValue {
  readonly tag: number;
  readonly value: Uint8Array;
}

/** A SignedData with one signer. Its signature is not verified: {@link verifySigned} does. */
export interface SignedMessage {
  /** Undefined for a message without content. */
  readonly content?: Uint8Array;
  readonly contentType: string;
  readonly certificates: readonly DerCertificate[];
  /** IssuerAndSerialNumber of the signer, DER: which of the certificates it is. */
  readonly signer: Uint8Array;
  /** The signed attributes by OID, each with its one value. */
  readonly attributes: ReadonlyMap<string, CmsValue>;
  /** How it is signed; by its OIDs where it is in a way that is not taken, such as with MD5 and SHA-1. */
  readonly algorithms:
    | { readonly digest: CmsDigest; readonly signature: SignatureAlgorithm }
    | { readonly foreign: string };
  readonly signature: Uint8Array;
  /** What is signed: the attributes as a SET OF (RFC 5652 section 5.4), as the sender wrote them. */
  readonly signedBytes: Uint8Array;
}

/**
 * Reads a SignedData with one signer that has signed attributes and is named by issuer and serial number, in a
 * ContentInfo, DER.
 * @throws KeysteadError `cms.message-malformed`.
 */
export const readSigned = (der: Uint8Array): SignedMessage => readContentInfo(der, 'signedData', readSignedData);

function readSignedData(data: DerNode): SignedMessage {
  data.counted(4, 6, 'SignedData').child(0, 0x02, 'the version');
  data.child(1, 0x31, 'digestAlgorithms').counted(1, 4, 'digestAlgorithms');
  const encap = data.child(2, 0x30, 'encapContentInfo').counted(1, 2, 'encapContentInfo');
  const wrapped = encap.children[1]?.expect(0xa0, 'eContent').counted(1, 1, 'eContent').child(0, 0x04, 'eContent');
  const rest = data.children.slice(3);
  const certificates = rest[0]?.tag === 0xa0 ? rest.shift() : undefined;
  if (rest[0]?.tag === 0xa1) rest.shift();
  const [signers, ...more] = rest;
  if (signers === undefined || more.length > 0) throw new DerError('SignedData has no signerInfos where they stand');
  const info = signers.expect(0x31, 'signerInfos').counted(1, 1, 'signerInfos').child(0, 0x30, 'the signer');
  return {
    content: wrapped?.value,
    contentType: readOid(encap.children[0], 'eContentType'),
    certificates: (certificates?.counted(0, MAX_CERTIFICATES, 'the certificates').children ?? []).map(
      (node) => node.expect(0x30, 'a certificate').bytes as DerCertificate,
    ),
    ...readSigner(info),
  };
}

function readSigner(
  info: DerNode,
): Pick<SignedMessage, 'signer' | 'attributes' | 'algorithms' | 'signature' | 'signedBytes'> {
  info.counted(6, 7, 'the signer').child(0, 0x02, 'the version of the signer');
  const signer = info.child(1, 0x30, 'issuerAndSerialNumber').counted(2, 2, 'issuerAndSerialNumber');
  const digest = info.child(2, 0x30, 'digestAlgorithm').counted(1, 2, 'digestAlgorithm');
  const attributes = info.child(3, 0xa0, 'signedAttrs').counted(1, MAX_ATTRIBUTES, 'signedAttrs');
  const algorithm = info.child(4, 0x30, 'signatureAlgorithm').counted(1, 2, 'signatureAlgorithm');
  const signature = info.child(5, 0x04, 'the signature').value;
  const values = new Map<string, DerNode>();
  for (const node of attributes.children) {
    node.expect(0x30, 'an attribute').counted(2, 2, 'an attribute');
    const id = readOid(node.children[0], 'an attribute type');
    if (values.has(id)) throw new DerError(`the attribute ${id} stands twice`);
    const [value] = node.child(1, 0x31, `the values of ${id}`).counted(1, 1, `the values of ${id}`).children;
    if (value !== undefined) values.set(id, value);
  }
  const signedBytes = Uint8Array.from(attributes.bytes);
  signedBytes[0] = 0x31;
  const algorithms = algorithmsOf(
    readOid(digest.children[0], 'digestAlgorithm'),
    readOid(algorithm.children[0], 'signatureAlgorithm'),
  );
  return { signer: signer.bytes, attributes: values, algorithms, signature, signedBytes };
}

/** rsaEncryption says nothing of the digest (RFC 3370 section 3.2); the others do, and must agree with it. */
function algorithmsOf(digestId: string, signatureId: string): SignedMessage['algorithms'] {
  const digest = (Object.keys(DIGESTS) as CmsDigest[]).find((name) => DIGESTS[name] === digestId);
  if (digest === undefined) return { foreign: digestId };
  const rsa = digest === 'sha256' ? 'sha256WithRSAEncryption' : 'sha384WithRSAEncryption';
  const ecdsa = digest === 'sha256' ? 'ecdsa-with-SHA256' : 'ecdsa-with-SHA384';
  if (signatureId === KEY_OIDS.rsaEncryption || signatureId === SIGNATURE_OIDS[rsa]) return { digest, signature: rsa };
  return signatureId === SIGNATURE_OIDS[ecdsa] ? { digest, signature: ecdsa } : { foreign: signatureId };
}

/**
 * Verifies that the holder of `spki` signed the message: the attributes by the signature, the content by its digest in
 * them (RFC 5652 section 5.6).
 * @throws KeysteadError `cms.signature-invalid`, `cms.algorithm`.
 */
export function verifySigned(message: SignedMessage, spki: DerSpki): void {
  const { content = new Uint8Array() } = message;
  verifySignedDigest(message, spki, (digest) => createHash(digest).update(content).digest());
}

/**
 * The same for content that stands elsewhere (a detached signature) and is known by its digest.
 * @param digestOf gives the content's digest by the algorithm that the signer names.
 */
export function verifySignedDigest(
  message: SignedMessage,
  spki: DerSpki,
  digestOf: (digest: CmsDigest) => Uint8Array,
): void {
  const { attributes, algorithms, signedBytes, signature } = message;
  if ('foreign' in algorithms)
    throw new KeysteadError('cms.algorithm', { field: 'signerInfo', seen: algorithms.foreign });
  const invalid = (seen: string) => new KeysteadError('cms.signature-invalid', { field: 'signature', seen });
  const hashed = attributes.get(CMS_ATTRIBUTES.messageDigest);
  if (hashed?.tag !== 0x04 || !sameBytes(hashed.value, digestOf(algorithms.digest))) throw invalid('another content');
  const type = attributes.get(CMS_ATTRIBUTES.contentType);
  if (type?.tag !== 0x06 || !sameBytes(type.value, oid(message.contentType).subarray(2)))
    throw invalid('another content type');
  if (!verifySignature(algorithms.signature, spki, signedBytes, signature)) throw invalid('another key');
}
