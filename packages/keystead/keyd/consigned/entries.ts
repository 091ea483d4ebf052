import { CONFLICT_NAMES, factoryName, HEADQUARTERS } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { hex, isoTime, numbered } from '../journal-fields.ts';

const ticket = z.strictObject({ id: z.string(), sha256: hex });
const conflicts = z.array(z.strictObject({ conflict: z.enum(CONFLICT_NAMES), with: z.string() }));

/** A consignment that is about to be given out by the keyd of a factory node, whole: one number has one content. */
export const ConsignmentEntry = z.strictObject({
  ...numbered,
  kind: z.literal('consignment'),
  number: z.int().min(1),
  sha256: hex,
  /** Which entries of this journal it covers. */
  from: z.int().min(1),
  to: z.int().min(1),
  document: z.string(),
});
export type ConsignmentJournalEntry = z.infer<typeof ConsignmentEntry>;

const TakenUnitSchema = z.strictObject({
  deviceId: z.string(),
  serial: hex,
  spkiSha256: hex,
  ticket,
  at: isoTime,
  /** Whether nobody was given its certificate. */
  void: z.literal(true).optional(),
  /** Why it is in quarantine; absent where it is not. */
  conflicts: conflicts.optional(),
});
/** A certificate of a unit, as headquarters took it in. */
export type TakenUnit = z.infer<typeof TakenUnitSchema>;

/** A consignment that headquarters has taken in, with what it decided about each unit: one entry, all or nothing. */
export const TakenEntry = z.strictObject({
  ...numbered,
  kind: z.literal('taken'),
  factory: factoryName,
  number: z.int().min(1),
  sha256: hex,
  previousSha256: hex.nullable(),
  units: z.array(TakenUnitSchema),
  /** What the node says with it, and no later than when it was taken: see `Consignment`. */
  completeUntil: isoTime.optional(),
  receipt: z.string(),
  requestId: z.string(),
});
export type TakenJournalEntry = z.infer<typeof TakenEntry>;

/** A factory has signed two histories: nothing new is taken of it until an operator has decided. */
export const ForkedEntry = z.strictObject({
  ...numbered,
  kind: z.literal('forked'),
  factory: factoryName,
  /** The consignment that does not fit, and the one that it does not fit to. */
  number: z.int().min(1),
  sha256: hex,
  known: z.strictObject({ number: z.int().min(1), sha256: hex }),
  requestId: z.string(),
});
export type ForkedJournalEntry = z.infer<typeof ForkedEntry>;

const endedUnit = z.strictObject({
  where: z.union([factoryName, z.literal(HEADQUARTERS)]),
  deviceId: z.string(),
});

/** What an operator decided of a unit in quarantine or of a second history. */
export const ResolvedEntry = z.strictObject({
  ...numbered,
  kind: z.literal('resolved'),
  resolution: z.string(),
  sha256: hex,
  by: z.string(),
  factory: factoryName,
  decision: z.discriminatedUnion('act', [
    z.strictObject({
      act: z.enum(['release', 'reject']),
      deviceId: z.string(),
      serial: hex,
      /** Units that were ended by it. */
      ended: z.array(endedUnit),
    }),
    z.strictObject({ act: z.literal('accept'), number: z.int().min(1), sha256: hex }),
  ]),
  requestId: z.string(),
});
export type ResolvedJournalEntry = z.infer<typeof ResolvedEntry>;
