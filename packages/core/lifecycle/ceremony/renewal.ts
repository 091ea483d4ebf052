import { z } from 'zod';
import type { DerCsr } from '../../bytes/index.ts';
import type { Signer } from '../../crypto/index.ts';
import { ONLINE_CAS } from '../policy.ts';
import { csrOf } from './request.ts';
import { formatSignedRequest, parseSignedRequest, SignedRequestShape } from './signed-request.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');

/**
 * What keyd asks of a later ceremony: a certificate for one of its CAs, for the key that it has or for a successor.
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
  ...SignedRequestShape,
});

/** A later request as it stands in its file. */
export type RenewalRequest = z.infer<typeof RenewalSchema>;
export type RenewalFacts = Omit<RenewalRequest, 'version' | 'kind' | 'signer' | 'signature'>;

/** The file of a later request: JSON, UTF-8, signed by the evidence key. */
export function formatRenewal(facts: RenewalFacts, evidence: Signer): Promise<string> {
  const { ca, key, createdAt, rootSha256, transcriptSha256, certificateRequest } = facts;
  const asked = { version: 1, kind: 'intermediate', ca, key, createdAt, rootSha256, transcriptSha256 };
  return formatSignedRequest({ ...asked, certificateRequest }, evidence);
}

/**
 * Reads a later request and verifies that the evidence key with this hash signed it.
 * @throws KeysteadError `ceremony.request-malformed` with the field, `ceremony.request-signature`.
 */
export const parseRenewal = (bytes: Uint8Array, evidenceSpkiSha256: string): RenewalRequest =>
  parseSignedRequest(RenewalSchema, bytes, evidenceSpkiSha256);

/** The certification request in a later request. @throws KeysteadError `ceremony.request-malformed` */
export const renewalCsr = (request: RenewalRequest): DerCsr => csrOf(request.certificateRequest, 'certificateRequest');
