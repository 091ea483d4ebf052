import { z } from 'zod';
import { label, listedIssuer, requestId, serial, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;
/** More than one person can look at would not be looked at. */
export const MOST_RELEASED = 1000;

const released = z
  .array(z.strictObject({ issuer: listedIssuer, serial }))
  .min(1)
  .max(MOST_RELEASED);

/** Takes certificates off their hold. */
export const ReleaseHold = {
  params: z.strictObject({
    /** The statements as `signRevocationStatement` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    /** The list that the statements bind by count and hash. */
    certificates: released,
    requestId,
  }),
  result: z.strictObject({
    order: z.string(),
    released,
    /** When; of an order that was carried out before, then. */
    at: time,
    by: label,
    approvers: z.array(label),
  }),
};
