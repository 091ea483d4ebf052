import { CA_REVOCATION_REASONS, GIVEN_REASONS, RevocationSelectorSchema } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { hex, isoTime, numbered } from './journal-fields.ts';
import { issuerId, listedIssuer } from './wire-types.ts';

/** Revocations and holds that are listed for the first time: serial, milliseconds since 1970, reason. */
const revoked = z.array(z.tuple([hex, z.int(), z.string()]));

/**
 * How many of the revoked were counted as listed on the front end's word alone: not each takes of that allowance. Absent
 * where people ordered it, and in journals of before it was written down. REQ-KEY-SOD-02
 */
const alone = z.int().min(0).optional();

/** A CRL, with what is listed for the first time by it. */
export const CrlEntry = z.strictObject({
  ...numbered,
  kind: z.literal('crl'),
  issuer: listedIssuer,
  number: z.int().min(1),
  /** Which partition of how many; absent for the list of all. */
  shard: z.tuple([z.int().min(0), z.int().min(2)]).optional(),
  /** Whether it is a delta CRL alone. A full one with its delta CRL has the number of both. */
  delta: z.literal(true).optional(),
  /** Absent in journals of before there were delta CRLs. */
  nextUpdate: isoTime.optional(),
  revoked,
  alone,
});

/** What is listed for the first time, beside what the entry of a CRL holds. */
export const RevocationsEntry = z.strictObject({
  ...numbered,
  kind: z.literal('revocations'),
  issuer: listedIssuer,
  /** The number of the first CRL that can have them. */
  since: z.int().min(1),
  revoked,
  /** By whose word, where it is not the front end's: the hash of an order of people, or a CRL from the field at a restore. */
  by: z.string().max(64).optional(),
  alone,
});

/** An order of operators by which certificates came off their hold: issuer and serial of each. */
export const ReleaseEntry = z.strictObject({
  ...numbered,
  kind: z.literal('release'),
  order: z.string(),
  orderSha256: hex,
  by: z.string(),
  approvers: z.array(z.string()),
  released: z.array(z.tuple([listedIssuer, hex])),
  requestId: z.string(),
});

/**
 * An order of operators to revoke, or to put on hold, that keyd verified. What it takes follows in entries `revocations`
 * that name it: after a crash the same order goes on. REQ-KEY-REV-01, REQ-KEY-SOD-02
 */
export const RevocationOrderEntry = z.strictObject({
  ...numbered,
  kind: z.literal('revocation-order'),
  order: z.string(),
  orderSha256: hex,
  act: z.enum(['revoke', 'hold']),
  selector: RevocationSelectorSchema,
  reason: z.enum(GIVEN_REASONS).optional(),
  /** What people agreed to: how many, and the hash of their list. */
  count: z.int().min(0),
  listSha256: hex,
  by: z.string(),
  approvers: z.array(z.string()),
  requestId: z.string(),
});
export type RevocationOrderJournalEntry = z.infer<typeof RevocationOrderEntry>;

/** The indirect CRL of the root. What stands on it follows from the ceremonies and the entries `ca-revocation`. */
export const RootCrlEntry = z.strictObject({
  ...numbered,
  kind: z.literal('root-crl'),
  number: z.int().min(1),
  nextUpdate: isoTime,
});

/** An order of operators that revoked a CA of keyd between ceremonies. */
export const CaRevocationEntry = z.strictObject({
  ...numbered,
  kind: z.literal('ca-revocation'),
  ca: issuerId,
  /** Which key that was. */
  spkiSha256: hex,
  reason: z.enum(CA_REVOCATION_REASONS),
  invalidityDate: isoTime.optional(),
  order: z.string(),
  orderSha256: hex,
  by: z.string(),
  approvers: z.array(z.string()),
  requestId: z.string(),
});

export type CrlJournalEntry = z.infer<typeof CrlEntry>;
export type RevocationsJournalEntry = z.infer<typeof RevocationsEntry>;
export type ReleaseJournalEntry = z.infer<typeof ReleaseEntry>;
export type CaRevocationJournalEntry = z.infer<typeof CaRevocationEntry>;
