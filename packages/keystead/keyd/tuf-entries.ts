import { z } from 'zod';
import { hex, numbered } from './journal-fields.ts';

const version = z.int().min(1);

/** A root of an update repository that keyd has taken: from here on it goes by no earlier one. REQ-KEY-STO-03 */
export const TufRootEntry = z.strictObject({
  ...numbered,
  kind: z.literal('tuf-root'),
  repository: z.string(),
  version,
  /** Of the file as it is published. */
  sha256: hex,
  /** The file, base64: what comes next is judged by it. */
  root: z.base64(),
  requestId: z.string(),
});
export type TufRootJournalEntry = z.infer<typeof TufRootEntry>;

/** Snapshot and timestamp that were signed, before they are given out. REQ-KEY-STO-03 */
export const TufStatusEntry = z.strictObject({
  ...numbered,
  kind: z.literal('tuf-status'),
  repository: z.string(),
  root: version,
  /** Which targets they put in force. */
  targets: z.strictObject({ version, sha256: hex }),
  /** By which keys, by their ids in the policy. */
  keys: z.array(z.string()).min(1),
  /** The files, base64; the snapshot only where it is another than before. */
  snapshot: z.base64().optional(),
  timestamp: z.base64(),
  requestId: z.string(),
});
export type TufStatusJournalEntry = z.infer<typeof TufStatusEntry>;
