import type { z } from 'zod';
import { canonicalJson, type JsonValue, sameBytes, toBase64url, toHex } from '../bytes/index.ts';
import { sha256 } from '../crypto/index.ts';
import { type ErrorCode, KeysteadError } from '../errors/index.ts';
import { operatorOf, type Policy } from './policy.ts';
import { type Permission, permits, type Role } from './roles.ts';
import { firstIssue } from './schema-field.ts';
import type { Proof } from './signers/proof.ts';
import { type ProvenKey, requireProof } from './signers/verify.ts';

/** What tells one kind of signed document from another, as far as reading it goes. */
export interface PayloadKind<T> {
  /** Goes before the payload, so that a signature is never one of something else by the same key. Ends with a newline. */
  readonly context: string;
  /** What it is called where nothing in it can be named. */
  readonly name: string;
  readonly schema: z.ZodType<T>;
  readonly codes: { readonly malformed: ErrorCode };
}

/** What an operator may sign, and the refusals of who may not. */
export interface DocumentKind<T> extends PayloadKind<T> {
  /** The longest payload, characters of base64url; without it, what operator-document.ts says. */
  readonly mostPayload?: number;
  readonly codes: {
    readonly malformed: ErrorCode;
    readonly signerUnknown: ErrorCode;
    readonly signerForbidden: ErrorCode;
    readonly signatureInvalid: ErrorCode;
  };
}

/** A content as it was read, with the bytes that stand for it. */
export interface ReadPayload<T> {
  readonly content: T;
  readonly payload: Uint8Array;
  /** SHA-256 of the payload, hex: two documents with one id are told apart by it. */
  readonly sha256: string;
}

/** The bytes that are signed: the kind's context and the payload. */
export const signedBytes = <T>(kind: PayloadKind<T>, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(kind.context, 'latin1'), payload]);

/** A content in its one encoding (RFC 8785), UTF-8. @throws KeysteadError the kind's `malformed` with the field. */
export const encodePayload = <T>(kind: PayloadKind<T>, content: T): Uint8Array => encode(checked(kind, content));

/** The envelope around a payload. @throws KeysteadError the kind's `malformed` with the field. */
export function readEnvelope<T, E>(kind: PayloadKind<T>, schema: z.ZodType<E>, text: string): E {
  const envelope = schema.safeParse(jsonOf(kind, text, kind.name));
  if (envelope.success) return envelope.data;
  throw malformed(kind, firstIssue(envelope.error, kind.name));
}

/**
 * Reads a payload; verifies nothing. It has one encoding only: what two readers could read differently is refused.
 * @param text base64url.
 * @throws KeysteadError the kind's `malformed` with the field.
 */
export function readPayload<T>(kind: PayloadKind<T>, text: string): ReadPayload<T> {
  const payload = readBase64url(kind, text, 'payload');
  const content = checked(kind, jsonOf(kind, utf8Of(kind, payload), 'payload'));
  if (!sameBytes(payload, encode(content))) {
    throw malformed(kind, { field: 'payload', seen: `another encoding of the ${kind.name}` });
  }
  return { content, payload, sha256: toHex(sha256(payload)) };
}

/** Bytes in the one spelling that base64url has for them. @throws KeysteadError the kind's `malformed`. */
export function readBase64url<T>(kind: PayloadKind<T>, text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed(kind, { field, seen: 'something that is not base64url' });
  return bytes;
}

export const malformed = <T>(kind: PayloadKind<T>, facts: { field: string; seen: string }): KeysteadError =>
  new KeysteadError(kind.codes.malformed, facts);

/**
 * Verifies one operator's signature of a payload, by any of their keys, and that one of their roles lets them.
 * @param place of the signature in its document, with a dot behind it; empty where it is the only one.
 * @returns the key by which it verified, in one spelling: two names with one key are one signer.
 * @throws KeysteadError the kind's codes.
 */
export function requireOperatorSignature<T>(
  kind: DocumentKind<T>,
  payload: Uint8Array,
  { signer, ...proof }: Proof & { readonly signer: string },
  who: { readonly permission: Permission; readonly roles?: readonly Role[]; readonly policy: Policy },
  place = '',
): ProvenKey {
  const { permission, roles, policy } = who;
  const operator = operatorOf(policy, signer);
  const field = `${place}signer`;
  if (operator === undefined) throw new KeysteadError(kind.codes.signerUnknown, { field, seen: signer });
  const counts = roles === undefined || operator.roles.some((role) => roles.includes(role));
  if (!permits(operator.roles, permission) || !counts) {
    const seen = `${signer}, who is ${operator.roles.join(', ')}`;
    throw new KeysteadError(kind.codes.signerForbidden, { field, seen });
  }
  return requireProof(operator, policy.algorithms, signedBytes(kind, payload), proof, {
    code: kind.codes.signatureInvalid,
    field: `${place}signature`,
  });
}

const encode = (content: unknown): Uint8Array => Buffer.from(canonicalJson(content as JsonValue), 'utf8');

function checked<T>(kind: PayloadKind<T>, value: unknown): T {
  const parsed = kind.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed(kind, firstIssue(parsed.error, kind.name));
}

function jsonOf<T>(kind: PayloadKind<T>, text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(kind, { field, seen: 'something that is not JSON' });
  }
}

function utf8Of<T>(kind: PayloadKind<T>, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed(kind, { field: 'payload', seen: 'bytes that are not UTF-8' });
  }
}
