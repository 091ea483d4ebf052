import {
  type CbcContent,
  decryptCbc,
  type KeyTransport,
  type SecretBytes,
  type TransportScheme,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readOid } from '../der/strict.ts';
import { context, nullValue, oid, sequence } from '../der/writer.ts';
import { readContentInfo } from './content-info.ts';
import { CONTENT_CIPHERS, CONTENT_TYPES, DIGESTS, KEY_TRANSPORT, MGF1 } from './oids.ts';

const MAX_RECIPIENTS = 8;

/** One recipient whose key is transported under RSA. */
export interface TransportRecipient {
  /** IssuerAndSerialNumber, DER. */
  readonly certificate: Uint8Array;
  readonly scheme: TransportScheme;
  readonly wrapped: Uint8Array;
}

/** An EnvelopedData that is well-formed. */
export interface EnvelopedMessage {
  readonly recipients: readonly TransportRecipient[];
  readonly keyBytes: 16 | 32;
  readonly encrypted: CbcContent;
}

/**
 * Reads an EnvelopedData of data under AES-CBC, in a ContentInfo, DER. Recipients other than by RSA key transport and
 * issuer and serial number are passed over.
 * @throws KeysteadError `cms.message-malformed`; `cms.algorithm` for a cipher that is not taken, such as DES and 3DES.
 */
export const readEnveloped = (der: Uint8Array): EnvelopedMessage =>
  readContentInfo(der, 'envelopedData', readEnvelopedData);

function readEnvelopedData(data: DerNode): EnvelopedMessage {
  data.counted(3, 3, 'EnvelopedData').child(0, 0x02, 'the version');
  const recipients = data.child(1, 0x31, 'recipientInfos').counted(1, MAX_RECIPIENTS, 'recipientInfos').children;
  const info = data.child(2, 0x30, 'encryptedContentInfo').counted(3, 3, 'encryptedContentInfo');
  if (readOid(info.children[0], 'the content type') !== CONTENT_TYPES.data)
    throw new DerError('the encrypted content is not data');
  const algorithm = info.child(1, 0x30, 'the content cipher').counted(1, 2, 'the content cipher');
  const id = readOid(algorithm.children[0], 'the content cipher');
  const keyBytes = ([16, 32] as const).find((bytes) => CONTENT_CIPHERS[bytes] === id);
  if (keyBytes === undefined)
    throw new KeysteadError('cms.algorithm', { field: 'contentEncryptionAlgorithm', seen: id });
  const iv = algorithm.child(1, 0x04, 'the IV').value;
  const ciphertext = info.child(2, 0x80, 'encryptedContent').value;
  return {
    recipients: recipients.filter(({ tag }) => tag === 0x30).flatMap((node) => readTransport(node) ?? []),
    keyBytes,
    encrypted: { iv, ciphertext },
  };
}

function readTransport(node: DerNode): TransportRecipient | undefined {
  node.counted(4, 4, 'a recipient').child(0, 0x02, 'the version of a recipient');
  const [, certificate, algorithm] = node.children;
  const wrapped = node.child(3, 0x04, 'encryptedKey').value;
  if (certificate?.tag !== 0x30 || algorithm === undefined) return undefined;
  return { certificate: certificate.bytes, scheme: readScheme(algorithm), wrapped };
}

const SHA256 = sequence(oid(DIGESTS.sha256), nullValue());
const SHA256_BARE = sequence(oid(DIGESTS.sha256));
/** SHA-256 throughout, with and without the NULL (RFC 4055 section 2.1 takes both). */
const OAEP_PARAMETERS = [SHA256, SHA256_BARE].map((hash) =>
  sequence(context(0, hash), context(1, sequence(oid(MGF1), hash))),
);

function readScheme(node: DerNode): TransportScheme {
  const [id, parameters] = node.expect(0x30, 'keyEncryptionAlgorithm').counted(1, 2, 'keyEncryptionAlgorithm').children;
  const dotted = readOid(id, 'keyEncryptionAlgorithm');
  if (dotted === KEY_TRANSPORT['pkcs1-v1_5']) return 'pkcs1-v1_5';
  const written = parameters?.bytes ?? new Uint8Array();
  if (dotted === KEY_TRANSPORT['oaep-sha256'] && OAEP_PARAMETERS.some((known) => Buffer.compare(known, written) === 0))
    return 'oaep-sha256';
  throw new KeysteadError('cms.algorithm', { field: 'keyEncryptionAlgorithm', seen: dotted });
}

/**
 * What was encrypted to this recipient. A wrapped key or a padding that is wrong gives bytes that make no sense instead
 * of an error: see `KeyTransport.unwrap` and `decryptCbc`.
 * @throws KeysteadError `cms.message-malformed` for content that is no whole number of blocks.
 */
export function openEnveloped(
  { keyBytes, encrypted }: EnvelopedMessage,
  { scheme, wrapped }: TransportRecipient,
  transport: KeyTransport,
): SecretBytes {
  using key = transport.unwrap(scheme, wrapped, keyBytes);
  return decryptCbc(key, encrypted);
}
