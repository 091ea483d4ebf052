import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readDer, readOid } from '../der/strict.ts';
import { context, integer, oid, sequence, setOf } from '../der/writer.ts';

/** RFC 5652 sections 4 and 5.1. */
const ID_DATA = '1.2.840.113549.1.7.1';
const ID_SIGNED_DATA = '1.2.840.113549.1.7.2';

const MAX_MESSAGE_BYTES = 256 * 1024;
const MAX_CERTIFICATES = 32;

const VERSION_1 = integer(1);
const EMPTY_SET = setOf();
const NO_CONTENT = sequence(oid(ID_DATA));
const SIGNED_DATA = oid(ID_SIGNED_DATA);

/**
 * A certs-only CMS message (RFC 5652 section 5, RFC 8951 section 3.2): SignedData without content and signers. The
 * certificates keep the order in which they are given: clients that take the first one get the one that they
 * asked for. That is BER, as CMS allows; a DER SET OF would be in order of the encodings.
 */
export const certsOnly = (certs: readonly DerCertificate[]): Uint8Array =>
  sequence(SIGNED_DATA, context(0, sequence(VERSION_1, EMPTY_SET, NO_CONTENT, context(0, ...certs), EMPTY_SET)));

/** The same with CRLs instead of certificates, as SCEP answers GetCRL (RFC 8894 section 3.3.4). */
export const crlsOnly = (crls: readonly Uint8Array[]): Uint8Array =>
  sequence(SIGNED_DATA, context(0, sequence(VERSION_1, EMPTY_SET, NO_CONTENT, context(1, ...crls), EMPTY_SET)));

/**
 * The certificates of a certs-only message, in its order. Nothing about them is checked. CRLs are passed over.
 * @throws KeysteadError `cms.malformed`, also for a message with signers, content, or no certificates.
 */
export function readCertsOnly(der: Uint8Array): DerCertificate[] {
  if (der.length > MAX_MESSAGE_BYTES)
    throw new KeysteadError('cms.malformed', { field: 'message', seen: `${der.length} bytes` });
  try {
    return readMessage(readDer(der));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('cms.malformed', { field: 'message', seen: cause.message, cause });
    throw cause;
  }
}

function readMessage(root: DerNode): DerCertificate[] {
  root.expect(0x30, 'the message').counted(2, 2, 'the message');
  if (readOid(root.children[0], 'the content type') !== ID_SIGNED_DATA)
    throw new DerError('the message is not SignedData');
  const data = root.child(1, 0xa0, 'the content').counted(1, 1, 'the content').child(0, 0x30, 'SignedData');
  const [version, digests, content, certificates, ...rest] = data.counted(4, 6, 'SignedData').children;
  version?.expect(0x02, 'the version');
  digests?.expect(0x31, 'digestAlgorithms').counted(0, 16, 'digestAlgorithms');
  if (readOid(content?.expect(0x30, 'the content').counted(1, 1, 'the content').children[0], 'the content') !== ID_DATA)
    throw new DerError('the content is not empty data');
  const signers = rest.pop();
  if (rest.length > 0) rest[0]?.expect(0xa1, 'crls');
  signers?.expect(0x31, 'signerInfos').counted(0, 0, 'signerInfos');
  if (certificates?.tag !== 0xa0 || signers === undefined) throw new DerError('the message has no certificates');
  return certificates
    .counted(1, MAX_CERTIFICATES, 'the certificates')
    .children.map((node) => node.expect(0x30, 'a certificate').bytes as DerCertificate);
}
