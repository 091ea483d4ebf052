import { GIVEN_REASONS, RevocationSelectorSchema } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { hex, numbered } from './journal-fields.ts';

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
