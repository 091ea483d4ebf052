import { z } from 'zod';
import { bytes, label, listedIssuer, reason, requestId, serial, time } from '../wire-types.ts';

/** Signs the evidence of an end of life. */
export const SignEvidence = {
  params: z.strictObject({
    kind: z.literal('decommission'),
    deviceId: label,
    /** Why the device was ended, in a few words. */
    reason: z.string().min(1).max(256),
    operator: label,
    /** What the device or the operator says was wiped. */
    wiped: z.array(z.string().min(1).max(256)).max(64),
    revoked: z.array(z.strictObject({ serial, issuer: listedIssuer, revokedAt: time, reason })).max(1024),
    requestId,
  }),
  result: z.strictObject({ document: z.string(), signature: bytes() }),
};
