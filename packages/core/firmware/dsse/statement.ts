import { z } from 'zod';
import type { JsonValue } from '../../bytes/index.ts';
import { malformed } from '../malformed.ts';
import { strictJson } from './strict-json.ts';

/** in-toto attestation framework v1 (spec/v1/statement.md, envelope.md). */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const IN_TOTO_PAYLOAD_TYPE = 'application/vnd.in-toto+json';
/** SLSA provenance v1 and the two kinds of SBOM, by their predicates' names. */
export const PREDICATES = {
  'slsa-provenance': 'https://slsa.dev/provenance/v1',
  spdx: 'https://spdx.dev/Document',
  cyclonedx: 'https://cyclonedx.org/bom',
} as const;

/** Of one artefact; each is shown to people. */
const MOST_DIGESTS = 8;
const text = z.string().min(1).max(2048);
const Statement = z.looseObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z
    .array(
      z.looseObject({
        name: text.optional(),
        uri: text.optional(),
        // DigestSet: lower-case hexadecimal for the hashes that it names (spec/v1/digest_set.md).
        digest: z
          .record(z.string().regex(/^[A-Za-z0-9_]{1,32}$/), z.string().regex(/^[0-9a-f]{8,256}$/))
          .refine((digests) => Object.keys(digests).length <= MOST_DIGESTS, 'too many digests'),
      }),
    )
    .min(1)
    .max(4096),
  predicateType: text,
  predicate: z.record(z.string(), z.unknown()).optional(),
});
export type InTotoStatement = z.infer<typeof Statement>;

/** SLSA provenance v1: what people look for in it. The rest is its verifiers' business. */
const Provenance = z.looseObject({
  buildDefinition: z.looseObject({ buildType: text }),
  runDetails: z.looseObject({ builder: z.looseObject({ id: text }) }),
});

/** Reads a statement, whose subjects must all have a digest. @throws KeysteadError `firmware.malformed`. */
export function readStatement(payload: Uint8Array): InTotoStatement {
  const read = Statement.safeParse(strictJson(payload, 'statement'));
  if (!read.success) throw refused('statement', read.error);
  const { subject, predicateType, predicate } = read.data;
  const bare = subject.findIndex(({ digest }) => Object.keys(digest).length === 0);
  if (bare >= 0) throw malformed(`subject.${bare}`, 'no digest');
  if (predicateType === PREDICATES['slsa-provenance']) readProvenance(predicate);
  return read.data;
}

function readProvenance(predicate: unknown): z.infer<typeof Provenance> {
  const read = Provenance.safeParse(predicate);
  if (read.success) return read.data;
  throw refused('predicate', read.error);
}

/** A statement about one artefact, in UTF-8. @param sha256 hex. */
export function makeStatement(name: string, sha256: string, predicateType: string, predicate: JsonValue): Uint8Array {
  const subject = [{ name, digest: { sha256 } }];
  return Buffer.from(JSON.stringify({ _type: STATEMENT_TYPE, subject, predicateType, predicate }));
}

/** What people see of a statement. */
export function shownOf({ subject, predicateType, predicate }: InTotoStatement): { name: string; value: string }[] {
  const rows = [{ name: 'predicate type', value: predicateType }];
  for (const { name, uri, digest } of subject.slice(0, MOST_SHOWN)) {
    rows.push({
      name: 'artefact',
      value: [name, uri].filter((one) => one !== undefined).join(' ') || 'without a name',
    });
    // Each in a row of its own: a long name must not push out of sight what is attested.
    for (const [hash, hex] of Object.entries(digest)) rows.push({ name: 'artefact digest', value: `${hash}:${hex}` });
  }
  if (subject.length > MOST_SHOWN) rows.push({ name: 'artefacts not shown', value: `${subject.length - MOST_SHOWN}` });
  if (predicateType === PREDICATES['slsa-provenance']) {
    const { buildDefinition, runDetails } = readProvenance(predicate);
    rows.push({ name: 'build type', value: buildDefinition.buildType });
    rows.push({ name: 'builder', value: runDetails.builder.id });
  }
  return rows.map(({ name, value }) => ({ name, value: printable(value) }));
}

const MOST_SHOWN = 16;

/** No control character reaches a terminal by way of a name. */
export const printable = (value: string): string => value.replace(/[^\x20-\x7e]/g, '?').slice(0, 300);

const refused = (field: string, { issues: [issue] }: z.ZodError) =>
  malformed(issue === undefined ? field : [field, ...issue.path].join('.'), issue?.message ?? 'another form');
