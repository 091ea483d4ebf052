import { z } from 'zod';
import { hex, numbered } from './journal-fields.ts';

/** That a quorum of the policy in the backup agreed to a restore: from here on keyd is open. REQ-KEY-SOD-02 */
export const RestoreAgreedEntry = z.strictObject({
  ...numbered,
  kind: z.literal('restore-agreed'),
  /** Which restore: its entry `restored` has the same. */
  restore: hex,
  backupId: hex,
  orderSha256: hex,
  by: z.string(),
  approvers: z.array(z.string()).min(1).max(16),
  requestId: z.string(),
});

/** An attempt to open a restored keyd that was refused. */
export const RestoreRefusedEntry = z.strictObject({
  ...numbered,
  kind: z.literal('restore-refused'),
  restore: hex,
  code: z.string().max(64),
  /** What was wrong with it, as the error told. */
  seen: z.string().max(200).optional(),
  requestId: z.string(),
});

export type RestoreAgreedJournalEntry = z.infer<typeof RestoreAgreedEntry>;
export type RestoreRefusedJournalEntry = z.infer<typeof RestoreRefusedEntry>;
