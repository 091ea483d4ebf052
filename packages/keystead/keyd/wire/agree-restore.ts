import { z } from 'zod';
import { label, requestId, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;

/** A restore that keyd waits for statements about, and does nothing until then. */
export const PendingRestore = z.strictObject({
  restore: z.string(),
  backupId: z.string(),
  since: time,
  /** Approvals besides the one who asks, by the policy in the backup. */
  needed: z.int(),
  roles: z.array(z.string()),
  hardware: z.boolean(),
});

/** Who agreed to a restore. */
export const AgreedRestore = z.strictObject({ at: time, by: label, approvers: z.array(label) });

/** Opens a keyd that was restored. */
export const AgreeRestore = {
  params: z.strictObject({
    /** The statements as `signRestoreStatement` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    requestId,
  }),
  result: AgreedRestore.extend({ backupId: z.string() }),
};
