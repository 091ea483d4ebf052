import { z } from 'zod';
import { bytes, requestId, time } from '../wire-types.ts';

/** A policy that was put in force after that of the ceremony. */
const PolicyChange = z.strictObject({
  version: z.int(),
  sha256: z.string(),
  previousSha256: z.string(),
  approvalsSha256: z.string(),
  appliedAt: time,
  requestId: z.string(),
  proposer: z.string(),
  approvers: z.array(z.strictObject({ name: z.string(), role: z.string() })),
});

/** Puts the next policy in force. */
export const ChangePolicy = {
  params: z.strictObject({
    /** The very bytes of the policy's file. */
    policy: bytes(4 * 1024 * 1024),
    /** The approvals file, as `keystead policy approve` writes it. */
    approvals: z
      .string()
      .min(1)
      .max(256 * 1024),
    requestId,
  }),
  result: PolicyChange,
};

/** Every policy since the ceremony, the oldest first. */
export const PolicyHistory = {
  params: z.strictObject({}),
  result: z.strictObject({
    /** The policy of the ceremony. */
    founding: z.strictObject({ version: z.int(), sha256: z.string() }),
    steps: z.array(PolicyChange),
  }),
};
