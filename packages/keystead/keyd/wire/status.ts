import { z } from 'zod';
import { perIssuer, time } from '../wire-types.ts';
import { AgreedRestore, PendingRestore } from './agree-restore.ts';
import { factoryStatus } from './factory-node.ts';
import { CountReportSchema } from './recount.ts';

/** A restore that keyd's journal has been through. */
const Restore = z.strictObject({
  time,
  backupId: z.string(),
  manifestSha256: z.string(),
  custodians: z.array(z.string()),
  log: z.strictObject({ backup: z.int(), restored: z.int(), newestSeen: z.int() }),
  acceptedLoss: z.boolean(),
  crlNumbers: perIssuer(z.int()),
  refused: z.array(z.strictObject({ time: z.string(), code: z.string(), who: z.string().optional() })),
  restore: z.string().optional(),
  agreed: AgreedRestore.optional(),
});

/** What stands between keyd and the rest of the machine; the fields are explained in host/isolation.ts. */
export const IsolationSchema = z.strictObject({
  uid: z.int(),
  capabilities: z.boolean(),
  noNewPrivileges: z.boolean(),
  network: z.enum(['none', 'present', 'unknown']),
  coreDumps: z.enum(['off', 'empty', 'on']),
  keyMemory: z.enum(['locked', 'not locked']),
  swap: z.enum(['none', 'forbidden', 'possible', 'unknown']),
});

/** Who keyd is, and how far its log, tickets and CRLs are. */
export const Status = {
  params: z.strictObject({}),
  result: z.strictObject({
    software: z.string(),
    startedAt: time,
    isolation: IsolationSchema,
    policySha256: z.string(),
    policyVersion: z.int(),
    /** Certificates that keyd's journal knows of. */
    certificates: z.int(),
    log: z.strictObject({
      origin: z.string(),
      size: z.int(),
      /** The last checkpoint that was signed, or null before the first. */
      checkpoint: z.string().nullable(),
    }),
    tickets: z.array(z.strictObject({ id: z.string(), units: z.int(), quota: z.int() })),
    /** The last CRL number for each issuer. */
    crlNumbers: perIssuer(z.int()),
    /** Into how many partitions each issuer's list is to be cut besides the list of all; several after a change. */
    crlShards: perIssuer(z.array(z.int())),
    restores: z.array(Restore),
    /** The restore after which keyd is closed. */
    restorePending: PendingRestore.optional(),
    /** Whether a monotonic counter covers the journal. */
    count: CountReportSchema,
    /** At a factory node. */
    factory: factoryStatus.optional(),
  }),
};
