import { z } from 'zod';
import { hex, isoTime, numbered } from './journal-fields.ts';
import { perIssuer } from './wire-types.ts';

/**
 * The journal up to here came out of a backup. Written by the restore itself, so that no restored keyd can begin
 * without it. REQ-KEY-BAK-02
 */
export const RestoredEntry = z.strictObject({
  ...numbered,
  kind: z.literal('restored'),
  backupId: hex,
  manifestSha256: hex,
  /**
   * Which restore this is: 16 bytes at random, that a quorum's statements name. One of before there were such statements has
   * none, and is not waited for.
   */
  restore: hex.optional(),
  /** Who gave shares, by name. */
  custodians: z.array(z.string()).min(1).max(16),
  /** Entries of the log with which the backup was made, with which this keyd goes on, and the most that anybody has seen. */
  log: z.strictObject({ backup: z.int().min(0), restored: z.int().min(0), newestSeen: z.int().min(0) }),
  /** Whether people accepted that the log does not reach the newest that was seen. */
  acceptedLoss: z.boolean(),
  /** The numbers of CRLs go on from here: far above what may have been signed since the backup. */
  crlNumbers: perIssuer(z.int().min(1)),
  /** Attempts of before that were refused, with the error's code and whose share it was about, if anybody's. */
  refused: z.array(z.strictObject({ time: isoTime, code: z.string(), who: z.string().optional() })).max(64),
});

export type RestoredJournalEntry = z.infer<typeof RestoredEntry>;

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
