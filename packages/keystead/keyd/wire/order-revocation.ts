import { z } from 'zod';
import { label, requestId, serial, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;
/** What fits in a frame, which has 8 MiB: a serial number takes about 45 bytes. */
export const MOST_ORDERED = 150_000;

/** Revokes, or puts on hold, what several people ordered. */
export const OrderRevocation = {
  params: z.strictObject({
    /** The statements as `signRevocationStatement` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    /** The list that the statements bind by count and hash, by the issuer that it names. */
    list: z
      .array(z.strictObject({ issuer: z.string().max(80), serials: z.array(serial).min(1).max(MOST_ORDERED) }))
      .max(64)
      .refine((list) => list.reduce((sum, { serials }) => sum + serials.length, 0) <= MOST_ORDERED, {
        message: `must have at most ${MOST_ORDERED} serial numbers`,
      }),
    requestId,
  }),
  result: z.strictObject({
    order: z.string(),
    /** When; of an order that was carried out before, then. */
    at: time,
    by: label,
    approvers: z.array(label),
    /** How many came onto a list by this call. */
    listed: z.int(),
  }),
};
