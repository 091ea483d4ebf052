import { z } from 'zod';
import { toBase64url } from '../bytes/index.ts';
import { OPERATOR_NAME, type Policy } from './policy.ts';
import type { Permission } from './roles.ts';
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
import { payloadFor } from './signers/held-bytes.ts';
import { type Proof, ProofShape, proofMembers, prove, type StatementSigner } from './signers/proof.ts';

export type { DocumentKind } from './signed-payload.ts';

/** The longest payload of a document whose kind does not say another, characters. */
const MOST_PAYLOAD = 16_384;

const EnvelopeSchema = z.strictObject({
  /** RFC 8785 canonical JSON, base64url. */
  payload: z.string().max(57_344),
  signer: z.string().regex(OPERATOR_NAME),
  ...ProofShape,
});

/** A document as it was read, whose signature is not yet verified. */
export interface OperatorDocument<T> extends ReadPayload<T>, Proof {
  readonly signer: string;
}

/**
 * Signs what an operator says. Returns one line of JSON without its end.
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError the kind's `malformed` with the field, `approval.bytes-differ`.
 */
export async function signDocumentOf<T>(
  kind: DocumentKind<T>,
  content: T,
  signerName: string,
  signer: StatementSigner,
): Promise<string> {
  const payload = payloadFor(signer, kind.context, encodePayload(kind, content));
  const proof = await prove(signer, signedBytes(kind, payload));
  return JSON.stringify({ payload: toBase64url(payload), signer: signerName, ...proofMembers(proof) });
}

/**
 * Reads a document; verifies nothing. It has one encoding only: what two readers could read differently is refused.
 * @throws KeysteadError the kind's `malformed` with the field.
 */
export function parseDocumentOf<T>(kind: DocumentKind<T>, text: string): OperatorDocument<T> {
  const { payload, signer, by, signature } = readEnvelope(kind, EnvelopeSchema, text);
  if (payload.length > (kind.mostPayload ?? MOST_PAYLOAD))
    throw malformed(kind, { field: 'payload', seen: `${payload.length} characters` });
  return { ...readPayload(kind, payload), signer, by, signature: readBase64url(kind, signature, 'signature') };
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
  requireOperatorSignature(kind, document.payload, document, { permission, policy });
  return document;
}
