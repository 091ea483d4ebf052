import { z } from 'zod';
import {
  canonicalJson,
  type DerSpki,
  fromBase64,
  type JsonValue,
  sameBytes,
  toBase64url,
  toHex,
} from '../bytes/index.ts';
import { type Signer, sha256, verifySignature } from '../crypto/index.ts';
import { type ErrorCode, KeysteadError } from '../errors/index.ts';
import { checkPublicKey, signatureAlgorithmFor } from '../x509/index.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { type Permission, permits } from './roles.ts';
import { firstIssue } from './schema-field.ts';

const EnvelopeSchema = z.strictObject({
  /** RFC 8785 canonical JSON, base64url. */
  payload: z.string().max(16_384),
  signer: z.string().regex(OPERATOR_NAME),
  /** As the operator's key signs: ECDSA in DER, base64url. */
  signature: z.string().max(2048),
});

/** A document as it was read, whose signature is not yet verified. */
export interface OperatorDocument<T> {
  readonly content: T;
  readonly signer: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** SHA-256 of the payload, hex: two documents with one id are told apart by it. */
  readonly sha256: string;
}

/** What tells one kind of document from another. */
export interface DocumentKind<T> {
  /** Goes before the payload, so that a signature is never one of something else by the same key. Ends with a newline. */
  readonly context: string;
  /** What it is called where nothing in it can be named. */
  readonly name: string;
  readonly schema: z.ZodType<T>;
  readonly codes: {
    readonly malformed: ErrorCode;
    readonly signerUnknown: ErrorCode;
    readonly signerForbidden: ErrorCode;
    readonly signatureInvalid: ErrorCode;
  };
}

const signedBytes = <T>(kind: DocumentKind<T>, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(kind.context, 'latin1'), payload]);

const encode = (content: unknown): Uint8Array => Buffer.from(canonicalJson(content as JsonValue), 'utf8');

/**
 * Signs what an operator says. Returns one line of JSON without its end.
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError the kind's `malformed` with the field.
 */
export async function signDocumentOf<T>(
  kind: DocumentKind<T>,
  content: T,
  signerName: string,
  signer: Signer,
): Promise<string> {
  const payload = encode(check(kind, content));
  const signature = await signer.sign(signedBytes(kind, payload));
  return JSON.stringify({ payload: toBase64url(payload), signer: signerName, signature: toBase64url(signature) });
}

/**
 * Reads a document; verifies nothing. It has one encoding only: what two readers could read differently is refused.
 * @throws KeysteadError the kind's `malformed` with the field.
 */
export function parseDocumentOf<T>(kind: DocumentKind<T>, text: string): OperatorDocument<T> {
  const envelope = EnvelopeSchema.safeParse(jsonOf(kind, text, kind.name));
  if (!envelope.success) throw malformed(kind, firstIssue(envelope.error, kind.name));
  const payload = fromBase64url(kind, envelope.data.payload, 'payload');
  const content = check(kind, jsonOf(kind, utf8Of(kind, payload), 'payload'));
  if (!sameBytes(payload, encode(content))) {
    throw malformed(kind, { field: 'payload', seen: `another encoding of the ${kind.name}` });
  }
  return {
    content,
    signer: envelope.data.signer,
    payload,
    signature: fromBase64url(kind, envelope.data.signature, 'signature'),
    sha256: toHex(sha256(payload)),
  };
}

/**
 * Reads a document and verifies who signed it, and that one of their roles lets them.
 * @throws KeysteadError the kind's codes.
 */
export function verifyDocumentOf<T>(
  kind: DocumentKind<T>,
  text: string,
  permission: Permission,
  policy: Policy,
): OperatorDocument<T> {
  const document = parseDocumentOf(kind, text);
  const { signer } = document;
  const operator = operatorOf(policy, signer);
  if (operator === undefined) throw new KeysteadError(kind.codes.signerUnknown, { field: 'signer', seen: signer });
  if (!permits(operator.roles, permission)) {
    const seen = `${signer}, who is ${operator.roles.join(', ')}`;
    throw new KeysteadError(kind.codes.signerForbidden, { field: 'signer', seen });
  }
  const spki = fromBase64(operator.spki) as DerSpki;
  const algorithm = signatureAlgorithmFor(checkPublicKey(spki, policy.algorithms));
  if (!verifySignature(algorithm, spki, signedBytes(kind, document.payload), document.signature)) {
    throw new KeysteadError(kind.codes.signatureInvalid, { field: 'signature', seen: `not one of ${signer}` });
  }
  return document;
}

function check<T>(kind: DocumentKind<T>, value: unknown): T {
  const parsed = kind.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed(kind, firstIssue(parsed.error, kind.name));
}

const malformed = <T>(kind: DocumentKind<T>, facts: { field: string; seen: string }): KeysteadError =>
  new KeysteadError(kind.codes.malformed, facts);

function jsonOf<T>(kind: DocumentKind<T>, text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(kind, { field, seen: 'something that is not JSON' });
  }
}

function utf8Of<T>(kind: DocumentKind<T>, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed(kind, { field: 'payload', seen: 'bytes that are not UTF-8' });
  }
}

function fromBase64url<T>(kind: DocumentKind<T>, text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed(kind, { field, seen: 'something that is not base64url' });
  return bytes;
}
