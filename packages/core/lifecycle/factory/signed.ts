import { z } from 'zod';
import { canonicalJson, type DerSpki, type JsonValue, sameBytes, toBase64url, toHex } from '../../bytes/index.ts';
import { type Signer, sha256, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { checkPublicKey, signatureAlgorithmFor } from '../../x509/index.ts';
import { firstIssue } from '../schema-field.ts';

/** What one kind of document is signed and known by. */
export interface EvidenceKind<T> {
  /** Goes before the payload, so that a signature is never one of something else by the same key. Ends with a newline. */
  readonly context: string;
  readonly name: string;
  readonly schema: z.ZodType<T>;
  /** The most bytes of its file. */
  readonly maxBytes: number;
}

/** A document as it was read, whose signature is not yet verified. */
export interface EvidenceDocument<T> {
  readonly content: T;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** SHA-256 of the payload, hex. */
  readonly sha256: string;
}

const signedBytes = <T>(kind: EvidenceKind<T>, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(kind.context, 'latin1'), payload]);

const encode = (content: unknown): Uint8Array => Buffer.from(canonicalJson(content as JsonValue), 'utf8');

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
  const payload = encode(check(kind, content));
  const signature = await signer.sign(signedBytes(kind, payload));
  return `${JSON.stringify({ payload: toBase64url(payload), signature: toBase64url(signature) })}\n`;
}

/**
 * Reads such a document; verifies nothing. It has one encoding only: what two readers could read differently is refused.
 * @throws KeysteadError `factory.document-malformed` with the field.
 */
export function parseEvidence<T>(kind: EvidenceKind<T>, text: string): EvidenceDocument<T> {
  if (Buffer.byteLength(text, 'utf8') > kind.maxBytes) throw malformed(kind.name, `more than ${kind.maxBytes} bytes`);
  const envelope = Envelope.safeParse(jsonOf(text, kind.name));
  if (!envelope.success) {
    const { field, seen } = firstIssue(envelope.error, kind.name);
    throw malformed(field, seen);
  }
  const payload = fromBase64url(envelope.data.payload, 'payload');
  const content = check(kind, jsonOf(utf8Of(payload), 'payload'));
  if (!sameBytes(payload, encode(content))) throw malformed('payload', `another encoding of the ${kind.name}`);
  const signature = fromBase64url(envelope.data.signature, 'signature');
  return { content, payload, signature, sha256: toHex(sha256(payload)) };
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

const Envelope = z.strictObject({ payload: z.string(), signature: z.string().max(2048) });

function check<T>(kind: EvidenceKind<T>, value: unknown): T {
  const parsed = kind.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { field, seen } = firstIssue(parsed.error, kind.name);
  throw malformed(field, seen);
}

const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('factory.document-malformed', { field, seen });

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(field, 'something that is not JSON');
  }
}

function utf8Of(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('payload', 'bytes that are not UTF-8');
  }
}

function fromBase64url(text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed(field, 'something that is not base64url');
  return bytes;
}
