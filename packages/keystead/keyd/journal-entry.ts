import { z } from 'zod';
import { onlineCa } from './wire-types.ts';

const isoTime = z.iso.datetime({ offset: false });
const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/);

/** Each entry is numbered from 1, without gaps. */
const numbered = { n: z.int().min(1), time: isoTime };

/** A certificate that is about to be signed. */
const CertificateEntry = z.strictObject({
  ...numbered,
  kind: z.literal('certificate'),
  serial: hex,
  issuer: onlineCa,
  profile: z.string(),
  /** Device id, operator name or first host. */
  subject: z.string(),
  spkiSha256: hex,
  notBefore: isoTime,
  notAfter: isoTime,
  requestId: z.string(),
  /** For a unit of a batch. */
  ticket: z.strictObject({ id: z.string(), sha256: hex, quota: z.int() }).optional(),
});

/** A CRL, with the revocations that stand on a list for the first time: serial, milliseconds since 1970, reason. */
const CrlEntry = z.strictObject({
  ...numbered,
  kind: z.literal('crl'),
  issuer: onlineCa,
  number: z.int().min(1),
  revoked: z.array(z.tuple([hex, z.int(), z.string()])),
});

/** A signed document: a provisioning record or evidence of an end. */
const DocumentEntry = z.strictObject({
  ...numbered,
  kind: z.literal('document'),
  document: z.enum(['provisioning', 'decommission']),
  subject: z.string(),
  sha256: hex,
  requestId: z.string(),
});

/** A policy that was put in force after that of the ceremony. Its file and approvals lie in `policies/`. */
const PolicyEntry = z.strictObject({
  ...numbered,
  kind: z.literal('policy'),
  version: z.int().min(2),
  policySha256: hex,
  previousSha256: hex,
  approvalsSha256: hex,
  requestId: z.string(),
});

/** One line of keyd's journal: what it signed, written down and durable before it is given out. */
export const JournalEntrySchema = z.discriminatedUnion('kind', [
  CertificateEntry,
  CrlEntry,
  DocumentEntry,
  PolicyEntry,
]);

export type JournalEntry = z.infer<typeof JournalEntrySchema>;
export type CertificateJournalEntry = z.infer<typeof CertificateEntry>;
export type CrlJournalEntry = z.infer<typeof CrlEntry>;
export type PolicyJournalEntry = z.infer<typeof PolicyEntry>;

type Unnumbered<T> = T extends unknown ? Omit<T, 'n'> : never;
/** An entry before the journal gives it its number. */
export type JournalDraft = Unnumbered<JournalEntry>;
