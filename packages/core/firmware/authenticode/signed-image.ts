import { createHash } from 'node:crypto';
import { sameBytes, toHex } from '../../bytes/index.ts';
import { CMS_ATTRIBUTES, contentInfo, signedAttributes, signedDataOf, signerInfo, time } from '../../x509/index.ts';
import { certificatesOf, cmsSigner } from '../cms/signers.ts';
import type { MadeSignature, SigningTerms } from '../format.ts';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { PeChecksum, padding, sumsOf } from './image-digest.ts';
import { hashedPart, imageDigestOf, SPC_INDIRECT_DATA, SPC_TIMESTAMP } from './indirect-data.ts';
import { readPe } from './pe.ts';

/** WIN_CERT_REVISION_2_0 and WIN_CERT_TYPE_PKCS_SIGNED_DATA (UEFI specification, section 32.2.4). */
const REVISION = 0x0200;
const PKCS_SIGNED_DATA = 0x0002;
const WIN_CERTIFICATE_BYTES = 8;

/**
 * What is signed: contentType, messageDigest, signingTime, DER. The image is hashed with SHA-256 whatever the key; this
 * short content with the hash of the signature.
 * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`.
 */
export function authenticodeAttributes(subject: Uint8Array, terms: SigningTerms): Uint8Array {
  imageDigestOf(subject);
  const { digest } = cmsSigner(terms);
  return signedAttributes(SPC_INDIRECT_DATA, createHash(digest).update(hashedPart(subject)).digest(), [
    { oid: CMS_ATTRIBUTES.signingTime, value: time(terms.time) },
  ]);
}

/** PKCS #7 SignedData (RFC 2315) of one signer, in a ContentInfo, DER. */
function pkcs7(subject: Uint8Array, made: MadeSignature): Uint8Array {
  const { certificate: signer, digest, algorithm } = cmsSigner(made);
  const { signature, timestamp } = made;
  const attributes = authenticodeAttributes(subject, made);
  const unsigned = timestamp === undefined ? [] : [{ oid: SPC_TIMESTAMP, value: timestamp }];
  return contentInfo(
    'signedData',
    signedDataOf({
      version: 1,
      // The firmware of EDK II takes the first for the digest of the image; a SET has SHA-256 before SHA-384.
      digests: digest === 'sha256' ? ['sha256'] : ['sha256', digest],
      parameters: 'null',
      contentType: SPC_INDIRECT_DATA,
      content: subject,
      certificates: certificatesOf([made]),
      signers: [signerInfo({ signer, digest, attributes, algorithm, signature, unsigned }, 'null')],
    }),
  );
}

/** WIN_CERTIFICATE, and zeros up to the next one. Its length is without them, as sbsign has it. */
function winCertificate(content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(WIN_CERTIFICATE_BYTES);
  header.writeUInt32LE(WIN_CERTIFICATE_BYTES + content.length, 0);
  header.writeUInt16LE(REVISION, 4);
  header.writeUInt16LE(PKCS_SIGNED_DATA, 6);
  return Buffer.concat([header, content, padding(content.length)]);
}

/**
 * The image with its certificate table, in pieces. It is read twice: once to be hashed and summed, once to be given out.
 * @throws KeysteadError `firmware.malformed` also when the image is another one than the subject tells of.
 */
export async function* signedImage(
  image: ImageBytes,
  subject: Uint8Array,
  made: readonly MadeSignature[],
): AsyncGenerator<Uint8Array> {
  certificatesOf(made);
  const pe = await readPe(image);
  const sums = await sumsOf(image, pe);
  if (!sameBytes(sums.sha256, imageDigestOf(subject))) {
    throw malformed('image', `the digest ${toHex(sums.sha256)}, where another image was signed`);
  }
  const pad = padding(pe.size);
  const table = Buffer.concat(made.map((one) => winCertificate(pkcs7(subject, one))));
  const entry = Buffer.alloc(8);
  entry.writeUInt32LE(pe.size + pad.length, 0);
  entry.writeUInt32LE(table.length, 4);
  const checksum = new PeChecksum(sums.sum);
  checksum.add(entry);
  checksum.add(table);
  const checked = Buffer.alloc(4);
  checked.writeUInt32LE(checksum.of(pe.size + pad.length + table.length));
  yield* piecesOf(image, 0, pe.checksumAt);
  yield checked;
  yield* piecesOf(image, pe.checksumAt + 4, pe.certificatesAt);
  yield entry;
  yield* piecesOf(image, pe.certificatesAt + 8, pe.size);
  if (pad.length > 0) yield pad;
  yield table;
}
