import {
  BackupIdSchema,
  MemberSchema,
  MOST_CUSTODIANS,
  MOST_MEMBERS,
  MOST_SHARE_BYTES,
  PayloadSchema,
} from '@keystead/core/lifecycle';
import { z } from 'zod';
import { bytes, label, requestId } from '../wire-types.ts';

/** Signs the manifest of a backup. */
export const SignBackupManifest = {
  params: z.strictObject({
    backupId: BackupIdSchema,
    operator: label,
    /** The newest checkpoint in the backup, or null when the log was empty: keyd verifies that it signed it. */
    checkpoint: z.string().max(4096).nullable(),
    payload: PayloadSchema,
    members: z.array(MemberSchema).min(1).max(MOST_MEMBERS),
    /** In the order of the policy's custodians; whose key each is for is the policy's word and not the caller's. */
    shares: z
      .array(
        z.strictObject({
          name: label,
          commitment: z.string().regex(/^[0-9a-f]{64}$/),
          share: bytes(MOST_SHARE_BYTES),
        }),
      )
      .max(MOST_CUSTODIANS),
    requestId,
  }),
  result: z.strictObject({ manifest: z.string(), signature: bytes() }),
};
