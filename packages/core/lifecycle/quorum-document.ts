import { z } from 'zod';
import {
  canonicalJson,
  type DerSpki,
  fromBase64,
  type JsonValue,
  sameBytes,
  toBase64,
  toBase64url,
  toHex,
} from '../bytes/index.ts';
import { type Signer, sha256, verifySignature } from '../crypto/index.ts';
import { type ErrorCode, KeysteadError } from '../errors/index.ts';
import { checkPublicKey, signatureAlgorithmFor } from '../x509/index.ts';
import type { DocumentKind } from './operator-document.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { type Permission, permits, type Role } from './roles.ts';
import { firstIssue } from './schema-field.ts';

/** More people than any quorum asks for. */
const MOST_SIGNATURES = 16;

const EnvelopeSchema = z.strictObject({
  /** RFC 8785 canonical JSON, base64url. */
  payload: z.string().max(16_384),
  /** In any order. None yet in a draft. */
  signatures: z
    .array(
      z.strictObject({
        signer: z.string().regex(OPERATOR_NAME),
        /** As the operator's key signs: ECDSA in DER, base64url. */
        signature: z.string().max(2048),
      }),
    )
    .max(MOST_SIGNATURES),
});

/** What tells one kind of document that several people sign from another. */
export interface QuorumKind<T> extends Omit<DocumentKind<T>, 'codes'> {
  readonly codes: DocumentKind<T>['codes'] & {
    /** One person, or one key under two names. */
    readonly signerTwice: ErrorCode;
    readonly tooFew: ErrorCode;
    /** Two files that are to be joined are not about the same content. */
    readonly otherContent: ErrorCode;
  };
}

/** How many people must sign, and by which roles. Each counts once; the order of their signatures is none. */
export interface SigningQuorum {
  readonly signatures: number;
  readonly roles: readonly Role[];
}

export interface QuorumSignature {
  readonly signer: string;
  readonly signature: Uint8Array;
}

/** A document as it was read, whose signatures are not yet verified. */
export interface QuorumDocument<T> {
  readonly content: T;
  readonly signatures: readonly QuorumSignature[];
  readonly payload: Uint8Array;
  /** SHA-256 of the payload, hex: it is the same however many have signed. */
  readonly sha256: string;
}

const encode = (content: unknown): Uint8Array => Buffer.from(canonicalJson(content as JsonValue), 'utf8');

const signedBytes = <T>(kind: QuorumKind<T>, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(kind.context, 'latin1'), payload]);

/** Writes a document that nobody has signed yet: one line of JSON. @throws KeysteadError the kind's `malformed`. */
export const draftQuorumDocument = <T>(kind: QuorumKind<T>, content: T): string =>
  format(encode(check(kind, content)), []);

/**
 * Reads a document; verifies nothing. Its content has one encoding only: what two readers could read differently is
 * refused.
 * @throws KeysteadError the kind's `malformed` with the field.
 */
export function parseQuorumDocument<T>(kind: QuorumKind<T>, text: string): QuorumDocument<T> {
  const envelope = EnvelopeSchema.safeParse(jsonOf(kind, text, kind.name));
  if (!envelope.success) throw malformed(kind, firstIssue(envelope.error, kind.name));
  const payload = fromBase64url(kind, envelope.data.payload, 'payload');
  const content = check(kind, jsonOf(kind, utf8Of(kind, payload), 'payload'));
  if (!sameBytes(payload, encode(content))) {
    throw malformed(kind, { field: 'payload', seen: `another encoding of the ${kind.name}` });
  }
  const signatures = envelope.data.signatures.map(({ signer, signature }, index) => ({
    signer,
    signature: fromBase64url(kind, signature, `signatures[${index}].signature`),
  }));
  return { content, signatures, payload, sha256: toHex(sha256(payload)) };
}

/**
 * Adds a signature. Returns the document with it: one line of JSON. Each signer does this where their key is.
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError the kind's `malformed`, `signerTwice`.
 */
export async function signQuorumDocument<T>(
  kind: QuorumKind<T>,
  text: string,
  signerName: string,
  signer: Signer,
): Promise<string> {
  const { payload, signatures } = parseQuorumDocument(kind, text);
  if (signatures.some((one) => one.signer === signerName)) {
    throw new KeysteadError(kind.codes.signerTwice, { field: 'signatures', seen: signerName });
  }
  if (signatures.length >= MOST_SIGNATURES) {
    throw malformed(kind, { field: 'signatures', seen: `${signatures.length} of at most ${MOST_SIGNATURES}` });
  }
  const signature = await signer.sign(signedBytes(kind, payload));
  return format(payload, [...signatures, { signer: signerName, signature }]);
}

/**
 * Joins copies of one document that were signed apart. A person who signed two of them stands in it once.
 * @throws KeysteadError the kind's `malformed`, `otherContent`.
 */
export function joinQuorumDocuments<T>(kind: QuorumKind<T>, texts: readonly string[]): string {
  const documents = texts.map((text) => parseQuorumDocument(kind, text));
  const [first] = documents;
  if (first === undefined) throw malformed(kind, { field: kind.name, seen: 'none' });
  const joined = new Map<string, QuorumSignature>();
  documents.forEach(({ sha256: hash, signatures }, index) => {
    if (hash !== first.sha256) {
      throw new KeysteadError(kind.codes.otherContent, { field: `files[${index}]`, seen: `sha256 ${hash}` });
    }
    // The same person's second signature, as ECDSA makes it anew each time, is as good as the first.
    for (const one of signatures) if (!joined.has(one.signer)) joined.set(one.signer, one);
  });
  return format(first.payload, [...joined.values()]);
}

/**
 * Verifies that enough people signed a document. Every signature that stands in it must be good, also one more than
 * the quorum asks for: nobody's name stands under what they may not, or did not, sign. REQ-KEY-SOD-02
 * @throws KeysteadError the kind's codes, with the signature's place.
 */
export function verifyQuorumDocument<T>(
  kind: QuorumKind<T>,
  text: string,
  who: { readonly permission: Permission; readonly quorum: SigningQuorum; readonly policy: Policy },
): QuorumDocument<T> {
  const document = parseQuorumDocument(kind, text);
  const { signatures } = document;
  const names = new Set<string>();
  const keys = new Set<string>();
  signatures.forEach((one, index) => {
    const key = requireSignature(kind, document.payload, one, `signatures[${index}]`, who);
    if (names.has(one.signer) || keys.has(key)) {
      throw new KeysteadError(kind.codes.signerTwice, { field: `signatures[${index}].signer`, seen: one.signer });
    }
    names.add(one.signer);
    keys.add(key);
  });
  requireEnough(
    kind,
    signatures.map(({ signer }) => signer),
    who.quorum,
  );
  return document;
}

/** @throws KeysteadError the kind's `tooFew`. */
export function requireEnough<T>(kind: QuorumKind<T>, signers: readonly string[], quorum: SigningQuorum): void {
  if (signers.length >= quorum.signatures) return;
  throw new KeysteadError(kind.codes.tooFew, {
    field: 'signatures',
    seen: `${signers.length} of ${quorum.signatures}${signers.length === 0 ? '' : `, by ${signers.join(', ')}`}`,
  });
}

/** Verifies one signature. Returns the key by which it verified: base64 of its SubjectPublicKeyInfo. */
function requireSignature<T>(
  kind: QuorumKind<T>,
  payload: Uint8Array,
  { signer, signature }: QuorumSignature,
  field: string,
  { permission, quorum, policy }: Parameters<typeof verifyQuorumDocument>[2],
): string {
  const operator = operatorOf(policy, signer);
  if (operator === undefined) {
    throw new KeysteadError(kind.codes.signerUnknown, { field: `${field}.signer`, seen: signer });
  }
  if (!permits(operator.roles, permission) || !operator.roles.some((role) => quorum.roles.includes(role))) {
    throw new KeysteadError(kind.codes.signerForbidden, {
      field: `${field}.signer`,
      seen: `${signer}, who is ${operator.roles.join(', ')}`,
    });
  }
  const spki = fromBase64(operator.spki) as DerSpki;
  const algorithm = signatureAlgorithmFor(checkPublicKey(spki, policy.algorithms));
  if (!verifySignature(algorithm, spki, signedBytes(kind, payload), signature)) {
    throw new KeysteadError(kind.codes.signatureInvalid, {
      field: `${field}.signature`,
      seen: `not one of ${signer}`,
    });
  }
  return toBase64(spki);
}

const format = (payload: Uint8Array, signatures: readonly QuorumSignature[]): string => {
  const written = signatures.map(({ signer, signature }) => ({ signer, signature: toBase64url(signature) }));
  return `${JSON.stringify({ payload: toBase64url(payload), signatures: written })}\n`;
};

function check<T>(kind: QuorumKind<T>, value: unknown): T {
  const parsed = kind.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed(kind, firstIssue(parsed.error, kind.name));
}

const malformed = <T>(kind: QuorumKind<T>, facts: { field: string; seen: string }): KeysteadError =>
  new KeysteadError(kind.codes.malformed, facts);

function jsonOf<T>(kind: QuorumKind<T>, text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(kind, { field, seen: 'something that is not JSON' });
  }
}

function utf8Of<T>(kind: QuorumKind<T>, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed(kind, { field: 'payload', seen: 'bytes that are not UTF-8' });
  }
}

function fromBase64url<T>(kind: QuorumKind<T>, text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed(kind, { field, seen: 'something that is not base64url' });
  return bytes;
}
