import { z } from 'zod';
import { issuerId, serial, spkiSha256, time } from '../wire-types.ts';

/** One signed certificate as keyd's journal tells it. */
const JournalCertificate = z.strictObject({
  serial,
  issuer: issuerId,
  profile: z.string(),
  /** Device id, operator name or first host. */
  subject: z.string(),
  spkiSha256,
  notBefore: time,
  notAfter: time,
  time,
  requestId: z.string(),
  ticket: z.string().optional(),
});

/** Certificates that keyd has signed, in order. */
export const Journal = {
  params: z.strictObject({
    /** Where to read on: 0, or `next` of the answer before. */
    from: z.int().min(0),
    limit: z.int().min(1).max(10_000),
  }),
  result: z.strictObject({
    certificates: z.array(JournalCertificate),
    next: z.int(),
    /** Whether there was nothing more when this was read. */
    end: z.boolean(),
  }),
};
