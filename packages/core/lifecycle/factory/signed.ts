import { z } from 'zod';
import { type DerSpki, toBase64url } from '../../bytes/index.ts';
import { type Signer, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { checkPublicKey, signatureAlgorithmFor } from '../../x509/index.ts';
import {
  encodePayload,
  malformed,
  type PayloadKind,
  type ReadPayload,
  readBase64url,
  readEnvelope,
  readPayload,
  signedBytes,
} from '../signed-payload.ts';

/** What one kind of document is signed and known by. */
export interface EvidenceKind<T> extends PayloadKind<T> {
  /** The most bytes of its file. */
  readonly maxBytes: number;
}

/** The refusals that all of them share. */
export const EVIDENCE_CODES = { malformed: 'factory.document-malformed' } as const;

/** A document as it was read, whose signature is not yet verified. */
export interface EvidenceDocument<T> extends ReadPayload<T> {
  readonly signature: Uint8Array;
}

const Envelope = z.strictObject({ payload: z.string(), signature: z.string().max(2048) });

/**
 * Signs what one keyd tells another, with its evidence key. Returns the file: one line of JSON, `payload` (RFC 8785
 * canonical JSON) and `signature` (as the key signs: ECDSA in DER), both base64url.
 * @throws KeysteadError `factory.document-malformed` with the field.
 */
export async function signByEvidence<T>(
  kind: EvidenceKind<T>,
  content: T,
  signer: Pick<Signer, 'sign'>,
): Promise<string> {
  const payload = encodePayload(kind, content);
  const signature = await signer.sign(signedBytes(kind, payload));
  return `${JSON.stringify({ payload: toBase64url(payload), signature: toBase64url(signature) })}\n`;
}

/**
 * Reads such a document; verifies nothing. It has one encoding only: what two readers could read differently is refused.
 * @throws KeysteadError `factory.document-malformed` with the field.
 */
export function parseEvidence<T>(kind: EvidenceKind<T>, text: string): EvidenceDocument<T> {
  if (Buffer.byteLength(text, 'utf8') > kind.maxBytes) {
    throw malformed(kind, { field: kind.name, seen: `more than ${kind.maxBytes} bytes` });
  }
  const { payload, signature } = readEnvelope(kind, Envelope, text);
  return { ...readPayload(kind, payload), signature: readBase64url(kind, signature, 'signature') };
}

/**
 * Verifies that the key signed the document. Whose key it is, is the caller's to know.
 * @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`, `key.*` for a key that is none.
 */
export function verifyEvidence<T>(kind: EvidenceKind<T>, text: string, spki: DerSpki): EvidenceDocument<T> {
  const document = parseEvidence(kind, text);
  const algorithm = signatureAlgorithmFor(checkPublicKey(spki, ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096']));
  if (!verifySignature(algorithm, spki, signedBytes(kind, document.payload), document.signature)) {
    throw new KeysteadError('factory.signature-invalid', { field: 'signature', seen: `a ${kind.name} of another key` });
  }
  return document;
}
