import { z } from 'zod';
import { label, requestId, time } from '../wire-types.ts';

const mark = z.string().regex(/^[0-9a-f]{32}$/);

/** How the journal stands to its monotonic counter; the states are explained in unit-count.ts. */
export const CountReportSchema = z.strictObject({
  state: z.enum(['disk', 'level', 'unreachable', 'rolled-back', 'replaced', 'missing']),
  counter: z.strictObject({
    make: z.enum(['none', 'tpm2', 'pkcs11']),
    name: z.string().optional(),
    value: z.int().optional(),
    mark: mark.optional(),
  }),
  journal: z.int().nullable(),
});

/** Goes on where journal and counter do not agree. */
export const RecountOperation = {
  params: z.strictObject({
    /** The order as `keystead recount` wrote it. */
    order: z.string().min(1).max(65_536),
    requestId,
  }),
  result: z.strictObject({
    orderSha256: z.string(),
    /** When; of an order that was carried out before, then. */
    at: time,
    signers: z.array(label),
    counter: z.strictObject({ make: z.string(), name: z.string(), value: z.int(), mark }),
    journal: z.int().nullable(),
  }),
};
