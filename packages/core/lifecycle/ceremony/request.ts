import { z } from 'zod';
import type { DerCsr } from '../../bytes/index.ts';
import { fromPem } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { firmwareKeyId } from '../firmware/policy.ts';
import { firmwareKeystoreId } from '../firmware/profile.ts';
import { ONLINE_CAS, type OnlineCa } from '../policy.ts';
import { ROOT_CRL_KEY } from '../root-crl.ts';
import { firstIssue } from '../schema-field.ts';

/** A hundred times what a request needs. */
const MAX_REQUEST_BYTES = 256 * 1024;

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
    /** For the signer of the indirect CRL of the root; a keyd of before it has none. */
    'root-crl': csr.optional(),
  }),
  /** The verifier keys of the log and of its cosigner, in the text form of C2SP signed-note. */
  log: z.strictObject({ vkey: z.string().min(1).max(512), cosignVkey: z.string().min(1).max(512) }),
  /** For keys that sign firmware of production; left out where keyd has none. */
  firmware: z
    .array(z.strictObject({ key: firmwareKeyId, certificateRequest: csr }))
    .min(1)
    .max(256)
    .optional(),
});

export type CeremonyRequest = z.infer<typeof RequestSchema>;
export type RequestSlot = OnlineCa | 'evidence';
/** A request that need not be there. */
export type OptionalSlot = typeof ROOT_CRL_KEY;
export const REQUEST_SLOTS: readonly RequestSlot[] = [...ONLINE_CAS, 'evidence'];

/** The common name that a request of keyd carries: it ties the request to its place, so that two cannot be swapped. */
export const requestName = (slot: RequestSlot | OptionalSlot): string =>
  slot === 'evidence' || slot === ROOT_CRL_KEY ? slot : `ca-${slot}`;

/**
 * Reads a request file (JSON, UTF-8, exactly as {@link formatCeremonyRequest} writes it). Nothing is verified yet.
 * @throws KeysteadError `ceremony.request-malformed` with the field.
 */
export function parseCeremonyRequest(bytes: Uint8Array): CeremonyRequest {
  requireSize(bytes);
  const parsed = RequestSchema.safeParse(jsonOf(bytes, 'ceremony.request-malformed', 'request'));
  if (parsed.success) {
    // A member that stands twice: another reader may take the other one.
    if (formatCeremonyRequest(parsed.data) !== new TextDecoder().decode(bytes)) {
      throw new KeysteadError('ceremony.request-malformed', {
        field: 'request',
        seen: 'another form than keyd writes',
      });
    }
    return parsed.data;
  }
  throw new KeysteadError('ceremony.request-malformed', {
    ...firstIssue(parsed.error, 'request'),
    cause: parsed.error,
  });
}

export const formatCeremonyRequest = (request: CeremonyRequest): string => `${JSON.stringify(request, null, 2)}\n`;

/** @throws KeysteadError `ceremony.request-malformed` for a file that is larger than any request. */
export function requireSize(bytes: Uint8Array): void {
  if (bytes.length <= MAX_REQUEST_BYTES) return;
  throw new KeysteadError('ceremony.request-malformed', { field: 'request', seen: `${bytes.length} bytes` });
}

/** The DER of the request for `slot`. @throws KeysteadError `ceremony.request-malformed` when the PEM is none. */
export const requestedCsr = (request: CeremonyRequest, slot: RequestSlot | OptionalSlot): DerCsr =>
  csrOf(request.certificateRequests[slot] ?? '', `certificateRequests.${slot}`);

/** The keys for firmware that a request is about, with the request of each; its common name is the key's in the keystore. */
export const firmwareCsrs = (
  request: Pick<CeremonyRequest, 'firmware'>,
): { key: string; name: string; csr: DerCsr }[] =>
  (request.firmware ?? []).map(({ key, certificateRequest }, index) => ({
    key,
    name: firmwareKeystoreId(key),
    csr: csrOf(certificateRequest, `firmware[${index}].certificateRequest`),
  }));

/** The one request of a PEM text. @throws KeysteadError `ceremony.request-malformed` */
export function csrOf(text: string, field: string): DerCsr {
  let blocks: Uint8Array[];
  try {
    blocks = fromPem('CERTIFICATE REQUEST', text);
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
