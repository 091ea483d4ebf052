import { sameBytes } from '@keystead/core/bytes';
import type { KeyTransport, SecretBytes, Signer, TransportScheme } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CertificateInfo,
  type CmsValue,
  issuerAndSerial,
  openEnveloped,
  readCertificate,
  readEnveloped,
  readSigned,
  type SignedMessage,
  verifySigned,
} from '@keystead/core/x509';
import { MESSAGE_TYPES, NONCE_OCTETS, type RequestType, SCEP_ATTRIBUTES } from './oids.ts';

/** The registration authority: its one certificate opens what is sent to it and signs what it answers. */
export interface ScepRa {
  readonly certificate: CertificateInfo;
  readonly signer: Signer;
  readonly transport: KeyTransport;
}

/** What an answer refers to; it is known before anything else of a message is believed. */
export interface ScepReference {
  readonly transactionId: string;
  /** Undefined where it has not 16 octets, and so cannot be given back. */
  readonly senderNonce: Uint8Array | undefined;
}

/** A message whose signature was verified. */
export interface ScepMessage extends ScepReference {
  readonly senderNonce: Uint8Array;
  readonly type: RequestType;
  /** Signed the message, and the answer is encrypted to it. It may be self-signed, and says nothing by itself. */
  readonly signer: CertificateInfo;
  /** As the request was encrypted, so is the answer: who sent it can read that. */
  readonly encryption: { readonly keyBytes: 16 | 32; readonly scheme: TransportScheme };
  /** What it holds, decrypted; the caller wipes it. */
  readonly content: SecretBytes;
}

/** PrintableString, of the length that the longest client makes (a SHA-512 in hex). */
const TRANSACTION_ID = /^[A-Za-z0-9 '()+,\-./:=?]{1,128}$/;

/**
 * Takes the outer form of a message apart: SignedData with the attributes of SCEP.
 * @throws KeysteadError `cms.message-malformed`, `scep.attributes` when not even its transaction is told, so that no
 *   answer in SCEP's own form is possible.
 */
export function readMessage(der: Uint8Array): { message: SignedMessage; reference: ScepReference } {
  const message = readSigned(der);
  const transactionId = textOf(message.attributes.get(SCEP_ATTRIBUTES.transactionId));
  if (transactionId === undefined || !TRANSACTION_ID.test(transactionId))
    throw new KeysteadError('scep.attributes', { field: 'transactionID' });
  const nonce = message.attributes.get(SCEP_ATTRIBUTES.senderNonce);
  const whole = nonce?.tag === 0x04 && nonce.value.length === NONCE_OCTETS;
  return { message, reference: { transactionId, senderNonce: whole ? Uint8Array.from(nonce.value) : undefined } };
}

/**
 * Verifies who signed a message, and decrypts it.
 * @param ras those whose certificates have not ended, in any order.
 * @throws KeysteadError `scep.attributes`, `cms.signature-invalid`, `cms.algorithm`, `cert.not-der`;
 *   `scep.message-unreadable` for what no RA here can decrypt. Content that was tampered with is bytes that make no
 *   sense, see `openEnveloped`.
 */
export function openMessage(
  message: SignedMessage,
  { transactionId, senderNonce }: ScepReference,
  ras: readonly ScepRa[],
): ScepMessage {
  const signer = signerOf(message);
  verifySigned(message, signer.spki);
  const type = typeOf(message);
  if (type === undefined || senderNonce === undefined)
    throw new KeysteadError('scep.attributes', { field: type === undefined ? 'messageType' : 'senderNonce' });
  const enveloped = readEnveloped(message.content ?? new Uint8Array());
  for (const recipient of enveloped.recipients) {
    const ra = ras.find(({ certificate }) => sameBytes(issuerAndSerial(certificate), recipient.certificate));
    if (ra === undefined) continue;
    const content = openEnveloped(enveloped, recipient, ra.transport);
    const encryption = { keyBytes: enveloped.keyBytes, scheme: recipient.scheme };
    return { transactionId, senderNonce, type, signer, encryption, content };
  }
  throw new KeysteadError('scep.message-unreadable', { field: 'recipientInfos' });
}

/** @throws KeysteadError `cms.signature-invalid` without the certificate; `cms.recipient-unfit` for a weak key. */
function signerOf({ certificates, signer }: SignedMessage): CertificateInfo {
  for (const der of certificates) {
    const info = readCertificate(der);
    // A negative serial number has no place in an answer.
    if (info.serial.startsWith('-') || !sameBytes(issuerAndSerial(info), signer)) continue;
    const { keyAlgorithm } = info;
    if (keyAlgorithm === undefined || keyAlgorithm === 'Ed25519')
      throw new KeysteadError('cms.recipient-unfit', { field: 'the signer', seen: keyAlgorithm ?? 'another key' });
    return info;
  }
  throw new KeysteadError('cms.signature-invalid', { field: 'certificates', seen: 'none of the signer' });
}

function typeOf({ attributes }: SignedMessage): RequestType | undefined {
  const text = textOf(attributes.get(SCEP_ATTRIBUTES.messageType));
  for (const [name, value] of Object.entries(MESSAGE_TYPES))
    if (value === text && name !== 'CertRep') return name as RequestType;
  return undefined;
}

/** PrintableString. */
const textOf = (node: CmsValue | undefined): string | undefined =>
  node?.tag === 0x13 ? Buffer.from(node.value).toString('latin1') : undefined;
