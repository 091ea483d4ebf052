import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';

/** What can be bound to a request besides the image. */
export const DOCUMENT_KINDS = ['sbom', 'provenance'] as const;
export type DocumentKind = (typeof DOCUMENT_KINDS)[number];

/** The longest document, octets: an SBOM of a whole distribution has a few million. */
export const MOST_DOCUMENT_BYTES = 16 * 1024 * 1024;

const CycloneDx = z.looseObject({
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.string().regex(/^1\.\d{1,2}$/),
  components: z.array(z.unknown()).optional(),
});
const Spdx2 = z.looseObject({
  spdxVersion: z.string().regex(/^SPDX-2\.\d$/),
  packages: z.array(z.unknown()).optional(),
});
/** SPDX 3 is JSON-LD. */
const Spdx3 = z.looseObject({
  '@context': z.string().regex(/^https:\/\/spdx\.org\/rdf\/3\./),
  '@graph': z.array(z.unknown()),
});

/** in-toto attestation framework, Statement v1 (and v0.1, which builders still write). */
const InToto = z.looseObject({
  _type: z.enum(['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']),
  predicateType: z
    .string()
    .regex(/^https:\/\/slsa\.dev\/provenance\/v(0\.[12]|1)$/, 'must be SLSA provenance v0.1, v0.2 or v1'),
  subject: z
    .array(z.looseObject({ name: z.string().max(1024).optional(), digest: z.record(z.string(), z.string().max(256)) }))
    .min(1)
    .max(10_000),
  predicate: z.looseObject({}),
});
/** DSSE, in which provenance travels (https://github.com/secure-systems-lab/dsse). */
const Envelope = z.looseObject({ payloadType: z.literal('application/vnd.in-toto+json'), payload: z.base64() });

/** A document as people see it. */
export interface DocumentReading {
  readonly kind: DocumentKind;
  /** What it is: `CycloneDX 1.6, 312 components`. */
  readonly title: string;
}

/**
 * Reads an SBOM (CycloneDX or SPDX, JSON) or a provenance (in-toto with SLSA's predicate, bare or in a DSSE envelope). A
 * provenance must name the image. Who signed an envelope is not looked at: approvers bind the document by its hash.
 * @param imageSha256 hex.
 * @throws KeysteadError `signing.document` with what is wrong.
 */
export function readDocument(kind: DocumentKind, bytes: Uint8Array, imageSha256: string): DocumentReading {
  const value = jsonOf(kind, bytes);
  return { kind, title: kind === 'sbom' ? sbomTitle(value) : provenanceTitle(value, imageSha256) };
}

function sbomTitle(value: unknown): string {
  const cyclone = CycloneDx.safeParse(value);
  if (cyclone.success)
    return `CycloneDX ${cyclone.data.specVersion}, ${cyclone.data.components?.length ?? 0} components`;
  const spdx = Spdx2.safeParse(value);
  if (spdx.success) return `${spdx.data.spdxVersion}, ${spdx.data.packages?.length ?? 0} packages`;
  const graph = Spdx3.safeParse(value);
  if (graph.success) return `SPDX 3, ${graph.data['@graph'].length} elements`;
  throw refused('sbom', 'neither CycloneDX 1 nor SPDX 2 or 3, as JSON');
}

function provenanceTitle(value: unknown, imageSha256: string): string {
  const envelope = Envelope.safeParse(value);
  const inner = envelope.success ? jsonOf('provenance', Buffer.from(envelope.data.payload, 'base64')) : value;
  const statement = InToto.safeParse(inner);
  if (!statement.success) {
    const [issue] = statement.error.issues;
    throw refused('provenance', `no in-toto statement of SLSA: ${issue?.path.join('.')} ${issue?.message}`);
  }
  const { subject, predicateType } = statement.data;
  const names = subject.some(({ digest }) => digest.sha256?.toLowerCase() === imageSha256);
  if (!names) throw refused('provenance', `none of its ${subject.length} subjects has the SHA-256 of the image`);
  return `SLSA provenance ${predicateType.replace('https://slsa.dev/provenance/', '')}`;
}

function jsonOf(kind: DocumentKind, bytes: Uint8Array): unknown {
  if (bytes.length > MOST_DOCUMENT_BYTES)
    throw refused(kind, `${bytes.length} bytes, where ${MOST_DOCUMENT_BYTES} are the most`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KeysteadError('signing.document', { field: kind, seen: 'something that is not JSON in UTF-8', cause });
  }
}

const refused = (kind: DocumentKind, seen: string): KeysteadError =>
  new KeysteadError('signing.document', { field: kind, seen });
