import { StandingJsonSchema } from '@keystead/core/trust';
import { z } from 'zod';
import { hex, numbered } from './journal-fields.ts';

const seconds = z.int().min(0);

/**
 * A trust bundle that was signed and not yet given out. Its bytes are made again from this: the content has one encoding,
 * and the signatures stand here. REQ-KEY-REV-04, REQ-KEY-STO-03
 */
export const TrustBundleEntry = z.strictObject({
  ...numbered,
  kind: z.literal('trust-bundle'),
  fleet: z.string(),
  version: z.int().min(1),
  issuedAt: seconds,
  expires: seconds,
  filter: z
    .strictObject({
      sha256: hex,
      date: seconds,
      expires: seconds,
      /** By what keyd tells whether anything was revoked or released since. */
      revocations: z.int().min(0),
    })
    .nullable(),
  /** DER, base64. */
  signer: z.base64(),
  signature: z.base64(),
  /** Of the form for people. */
  jws: z.base64(),
  /** The order that changed the content; absent where the content of before was signed anew. */
  order: z
    .strictObject({
      id: z.string(),
      sha256: hex,
      change: z.int().min(1),
      content: StandingJsonSchema,
      strand: z.boolean(),
      reason: z.string(),
      by: z.string(),
      approvers: z.array(z.string()),
    })
    .optional(),
  /** Roots of that content, by their keys, that are told of until this time and no longer: {@link withEnds}. */
  ends: z
    .array(z.strictObject({ spkiSha256: hex, until: seconds, followedBy: z.array(hex).min(1) }))
    .min(1)
    .optional(),
  requestId: z.string(),
});
export type TrustBundleJournalEntry = z.infer<typeof TrustBundleEntry>;
