import { z } from 'zod';
import { canonicalJson, type DerCsr, type DerSpki, fromBase64, toBase64 } from '../../bytes/index.ts';
import { type Signer, spkiSha256, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { ONLINE_CAS } from '../policy.ts';
import { firstIssue } from '../schema-field.ts';
import { csrOf, jsonOf, requireSize } from './request.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');

/**
 * What keyd asks of a later ceremony: a certificate for one of its CAs, for the key that it has or for a successor.
 * The evidence key signs it, which the founding ceremony approved, so that the offline machine knows from whom it is.
 */
const RenewalSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('intermediate'),
  ca: z.enum(ONLINE_CAS),
  key: z.enum(['same', 'successor']),
  createdAt: z.iso.datetime({ offset: false }),
  /** The root that this keyd stands under, and the last ceremony that it knows. */
  rootSha256: hash,
  transcriptSha256: hash,
  certificateRequest: z.string().regex(/^-----BEGIN CERTIFICATE REQUEST-----\n/, 'must be a PEM certification request'),
  /** SubjectPublicKeyInfo of the evidence key, base64 DER. */
  signer: z.base64(),
  /** ECDSA with SHA-256 over the RFC 8785 form of all the other members, DER, base64. */
  signature: z.base64(),
});

/** A later request as it stands in its file. */
export type RenewalRequest = z.infer<typeof RenewalSchema>;
export type RenewalFacts = Omit<RenewalRequest, 'version' | 'kind' | 'signer' | 'signature'>;

const signedBytes = ({ signature: _signature, ...rest }: RenewalRequest): Uint8Array =>
  new TextEncoder().encode(canonicalJson(rest));

/** The file of a later request: JSON, UTF-8, signed by the evidence key. */
export async function formatRenewal(facts: RenewalFacts, evidence: Signer): Promise<string> {
  const { ca, key, createdAt, rootSha256, transcriptSha256, certificateRequest } = facts;
  const unsigned: RenewalRequest = {
    version: 1,
    kind: 'intermediate',
    ca,
    key,
    createdAt,
    rootSha256,
    transcriptSha256,
    certificateRequest,
    signer: toBase64(evidence.spki),
    signature: '',
  };
  const signature = toBase64(await evidence.sign(signedBytes(unsigned)));
  return `${JSON.stringify({ ...unsigned, signature }, null, 2)}\n`;
}

/**
 * Reads a later request and verifies that the evidence key with this hash signed it.
 * @throws KeysteadError `ceremony.request-malformed` with the field, `ceremony.request-signature`.
 */
export function parseRenewal(bytes: Uint8Array, evidenceSpkiSha256: string): RenewalRequest {
  requireSize(bytes);
  const parsed = RenewalSchema.safeParse(jsonOf(bytes, 'ceremony.request-malformed', 'request'));
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

/** The certification request in a later request. @throws KeysteadError `ceremony.request-malformed` */
export const renewalCsr = (request: RenewalRequest): DerCsr => csrOf(request.certificateRequest, 'certificateRequest');
