import { z } from 'zod';
import { toBase64url } from '../bytes/index.ts';
import { type ErrorCode, KeysteadError } from '../errors/index.ts';
import { OPERATOR_NAME, type Policy } from './policy.ts';
import type { Permission, Role } from './roles.ts';
import {
  type DocumentKind,
  encodePayload,
  malformed,
  type ReadPayload,
  readBase64url,
  readEnvelope,
  readPayload,
  requireOperatorSignature,
  signedBytes,
} from './signed-payload.ts';
import { proveUnchanged } from './signers/held-bytes.ts';
import { type Proof, ProofShape, proofMembers, type StatementSigner } from './signers/proof.ts';
import { requireHardware } from './signers/verify.ts';

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
        ...ProofShape,
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
  /** Only keys that are held in hardware count. */
  readonly hardware?: boolean;
}

export interface QuorumSignature extends Proof {
  readonly signer: string;
}

/** A document as it was read, whose signatures are not yet verified. Its hash is the same however many have signed. */
export interface QuorumDocument<T> extends ReadPayload<T> {
  readonly signatures: readonly QuorumSignature[];
}

/** Writes a document that nobody has signed yet: one line of JSON. @throws KeysteadError the kind's `malformed`. */
export const draftQuorumDocument = <T>(kind: QuorumKind<T>, content: T): string =>
  format(encodePayload(kind, content), []);

/**
 * Reads a document; verifies nothing. Its content has one encoding only: what two readers could read differently is
 * refused.
 * @throws KeysteadError the kind's `malformed` with the field.
 */
export function parseQuorumDocument<T>(kind: QuorumKind<T>, text: string): QuorumDocument<T> {
  const envelope = readEnvelope(kind, EnvelopeSchema, text);
  const signatures = envelope.signatures.map(({ signer, by, signature }, index) => ({
    signer,
    by,
    signature: readBase64url(kind, signature, `signatures[${index}].signature`),
  }));
  return { ...readPayload(kind, envelope.payload), signatures };
}

/**
 * Adds a signature. Returns the document with it: one line of JSON. Each signer does this where their key is.
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError the kind's `malformed`, `signerTwice`, `approval.bytes-differ`.
 */
export async function signQuorumDocument<T>(
  kind: QuorumKind<T>,
  text: string,
  signerName: string,
  signer: StatementSigner,
): Promise<string> {
  const { payload, signatures } = parseQuorumDocument(kind, text);
  if (signatures.some((one) => one.signer === signerName)) {
    throw new KeysteadError(kind.codes.signerTwice, { field: 'signatures', seen: signerName });
  }
  if (signatures.length >= MOST_SIGNATURES) {
    throw malformed(kind, { field: 'signatures', seen: `${signatures.length} of at most ${MOST_SIGNATURES}` });
  }
  const proof = await proveUnchanged(signer, signedBytes(kind, payload));
  return format(payload, [...signatures, { signer: signerName, ...proof }]);
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
    const { permission, quorum, policy } = who;
    const allowed = { permission, roles: quorum.roles, policy };
    const proven = requireOperatorSignature(kind, document.payload, one, allowed, `signatures[${index}].`);
    if (quorum.hardware === true) requireHardware(proven, one.signer, `signatures[${index}].signature`);
    if (names.has(one.signer) || keys.has(proven.key)) {
      throw new KeysteadError(kind.codes.signerTwice, { field: `signatures[${index}].signer`, seen: one.signer });
    }
    names.add(one.signer);
    keys.add(proven.key);
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

const format = (payload: Uint8Array, signatures: readonly QuorumSignature[]): string => {
  const written = signatures.map(({ signer, ...proof }) => ({ signer, ...proofMembers(proof) }));
  return `${JSON.stringify({ payload: toBase64url(payload), signatures: written })}\n`;
};
