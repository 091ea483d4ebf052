import { z } from 'zod';
import type { DerCsr } from '../../bytes/index.ts';
import { fromPem } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { ONLINE_CAS, type OnlineCa } from '../policy.ts';
import { firstIssue } from '../schema-field.ts';

const csr = z.string().regex(/^-----BEGIN CERTIFICATE REQUEST-----\n/, 'must be a PEM certification request');

/**
 * What keyd asks of a ceremony: a certification request (PKCS#10) for each CA whose key it holds, one for the
 * key that signs evidence, and the public keys of the audit log. The root signs the CAs only; the others are
 * named in the transcript, so that the witnesses approve them too.
 */
const RequestSchema = z.strictObject({
  version: z.literal(1),
  createdAt: z.iso.datetime({ offset: false }),
  certificateRequests: z.strictObject({
    manufacturing: csr,
    operational: csr,
    server: csr,
    operator: csr,
    evidence: csr,
  }),
  /** The verifier keys of the log and of its cosigner, in the text form of C2SP signed-note. */
  log: z.strictObject({ vkey: z.string().min(1).max(512), cosignVkey: z.string().min(1).max(512) }),
});

export type CeremonyRequest = z.infer<typeof RequestSchema>;
export type RequestSlot = OnlineCa | 'evidence';
export const REQUEST_SLOTS: readonly RequestSlot[] = [...ONLINE_CAS, 'evidence'];

/** The common name that a request of keyd carries: it ties the request to its place, so that two cannot be swapped. */
export const requestName = (slot: RequestSlot): string => (slot === 'evidence' ? 'evidence' : `ca-${slot}`);

/**
 * Reads a request file (JSON, UTF-8). Nothing is verified yet.
 * @throws KeysteadError `ceremony.request-malformed` with the field.
 */
export function parseCeremonyRequest(bytes: Uint8Array): CeremonyRequest {
  const parsed = RequestSchema.safeParse(jsonOf(bytes, 'ceremony.request-malformed', 'request'));
  if (parsed.success) return parsed.data;
  throw new KeysteadError('ceremony.request-malformed', {
    ...firstIssue(parsed.error, 'request'),
    cause: parsed.error,
  });
}

export const formatCeremonyRequest = (request: CeremonyRequest): string => `${JSON.stringify(request, null, 2)}\n`;

/** The DER of the request for `slot`. @throws KeysteadError `ceremony.request-malformed` when the PEM is none. */
export function requestedCsr(request: CeremonyRequest, slot: RequestSlot): DerCsr {
  const field = `certificateRequests.${slot}`;
  let blocks: Uint8Array[];
  try {
    blocks = fromPem('CERTIFICATE REQUEST', request.certificateRequests[slot]);
  } catch (cause) {
    throw new KeysteadError('ceremony.request-malformed', { field, cause });
  }
  const [der, ...more] = blocks;
  if (der === undefined || more.length > 0) {
    throw new KeysteadError('ceremony.request-malformed', { field, seen: `${blocks.length} PEM blocks` });
  }
  return der as DerCsr;
}

/** Parses JSON in UTF-8. @throws KeysteadError with `code` when it is not that. */
export function jsonOf(
  bytes: Uint8Array,
  code: 'ceremony.request-malformed' | 'bundle.malformed' | 'transcript.altered',
  field: string,
): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KeysteadError(code, { field, seen: 'something that is not UTF-8 JSON', cause });
  }
}
