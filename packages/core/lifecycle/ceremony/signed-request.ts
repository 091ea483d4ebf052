import { z } from 'zod';
import { canonicalJson, type DerSpki, fromBase64, toBase64 } from '../../bytes/index.ts';
import { type Signer, spkiSha256, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { firstIssue } from '../schema-field.ts';
import { jsonOf, requireSize } from './request.ts';

/**
 * What each later request of keyd ends with. The evidence key signs it, which the founding ceremony approved, so that the
 * offline machine knows from whom it is.
 */
export const SignedRequestShape = {
  /** SubjectPublicKeyInfo of the evidence key, base64 DER. */
  signer: z.base64(),
  /** ECDSA with SHA-256 over the RFC 8785 form of all the other members, DER, base64. */
  signature: z.base64(),
};
interface Signed {
  readonly signer: string;
  readonly signature: string;
}

const signedBytes = ({ signature: _signature, ...rest }: Signed): Uint8Array =>
  new TextEncoder().encode(canonicalJson(rest));

/** The file of a later request: JSON, UTF-8, its members in the order of the schema. */
export async function formatSignedRequest<T extends object>(facts: T, evidence: Signer): Promise<string> {
  const unsigned = { ...facts, signer: toBase64(evidence.spki), signature: '' };
  const signature = toBase64(await evidence.sign(signedBytes(unsigned)));
  return `${JSON.stringify({ ...unsigned, signature }, null, 2)}\n`;
}

/**
 * Reads a later request and verifies that the evidence key with this hash signed it.
 * @throws KeysteadError `ceremony.request-malformed` with the field, `ceremony.request-signature`.
 */
export function parseSignedRequest<S extends z.ZodType<Signed>>(
  schema: S,
  bytes: Uint8Array,
  evidenceSpkiSha256: string,
): z.output<S> {
  requireSize(bytes);
  const parsed = schema.safeParse(jsonOf(bytes, 'ceremony.request-malformed', 'request'));
  if (!parsed.success) {
    throw new KeysteadError('ceremony.request-malformed', {
      ...firstIssue(parsed.error, 'request'),
      cause: parsed.error,
    });
  }
  const request = parsed.data;
  if (`${JSON.stringify(request, null, 2)}\n` !== new TextDecoder().decode(bytes)) {
    throw new KeysteadError('ceremony.request-malformed', { field: 'request', seen: 'another form than keyd writes' });
  }
  const signer = fromBase64(request.signer) as DerSpki;
  const seen = spkiSha256(signer);
  if (seen !== evidenceSpkiSha256) throw new KeysteadError('ceremony.request-signature', { field: 'signer', seen });
  if (!verifySignature('ecdsa-with-SHA256', signer, signedBytes(request), fromBase64(request.signature))) {
    throw new KeysteadError('ceremony.request-signature', { field: 'signature' });
  }
  return request;
}
