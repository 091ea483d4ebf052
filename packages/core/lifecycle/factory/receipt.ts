import { z } from 'zod';
import type { DerSpki } from '../../bytes/index.ts';
import type { Signer } from '../../crypto/index.ts';
import { MOST_CONSIGNED } from './consignment.ts';
import { deviceId, hash, serial } from './fields.ts';
import { factoryName } from './name.ts';
import {
  EVIDENCE_CODES,
  type EvidenceDocument,
  type EvidenceKind,
  parseEvidence,
  signByEvidence,
  verifyEvidence,
} from './signed.ts';

/** Why headquarters put a unit into quarantine: the one that came later, as both are reported. */
export const CONFLICTS = {
  'device-known': 'another unit with this device id is known',
  'key-known': 'another device has this key',
  'quota-exceeded': 'the ticket has had as many units as it allows',
  'ticket-unknown': 'headquarters knows no such ticket, or another one with this id',
  'ticket-not-for-factory': 'the ticket is for another node',
  'out-of-range': 'the device id is not one of the ticket, or not one of this factory',
  'out-of-time': 'it was made outside the validity of the ticket',
  'key-refused': 'the key is weak, known or of an algorithm that the policy refuses',
  'certificate-differs': 'its certificate has what no policy of headquarters gives to a device of that factory',
  'after-close': 'it was made after its factory was closed',
} as const;
export type Conflict = keyof typeof CONFLICTS;
export const CONFLICT_NAMES = Object.keys(CONFLICTS) as [Conflict, ...Conflict[]];

const ConflictSchema = z.strictObject({
  conflict: z.enum(CONFLICT_NAMES),
  /** The other one: where it is and its device id (`berlin-1 KS-0001`), or the ticket, or what else it is about. */
  with: z.string().min(1).max(160),
});
/** One reason why a unit is in quarantine. */
export type UnitConflict = z.infer<typeof ConflictSchema>;

/** What headquarters answers to one consignment, for good: to send it again brings the same. */
const ReceiptSchema = z.strictObject({
  v: z.literal(1),
  factory: factoryName,
  number: z.int().min(1),
  /** SHA-256 of the payload of the consignment that this answers. */
  consignmentSha256: hash,
  takenAt: z.iso.datetime({ offset: false }),
  /** How many of its units are in order: known at headquarters from now on, with their certificates. */
  taken: z.int().min(0),
  /** Units whose certificate the node has given to nobody: their keys and quota count, and their certificates are void. */
  void: z.array(z.strictObject({ deviceId, serial })).max(MOST_CONSIGNED),
  /** The later ones of each conflict. Nothing is issued to them until operators have decided. */
  quarantined: z
    .array(z.strictObject({ deviceId, serial, conflicts: z.array(ConflictSchema).min(1).max(CONFLICT_NAMES.length) }))
    .max(MOST_CONSIGNED),
});
export type Receipt = z.infer<typeof ReceiptSchema>;

const KIND: EvidenceKind<Receipt> = {
  codes: EVIDENCE_CODES,
  context: 'keystead consignment receipt v1\n',
  name: 'receipt',
  schema: ReceiptSchema as z.ZodType<Receipt>,
  maxBytes: 1024 * 1024,
};

/** Returns the file of a receipt. @throws KeysteadError `factory.document-malformed`. */
export const signReceipt = (draft: Omit<Receipt, 'v'>, signer: Pick<Signer, 'sign'>): Promise<string> =>
  signByEvidence(KIND, { v: 1, ...draft }, signer);

/** Reads a receipt; verifies nothing. @throws KeysteadError `factory.document-malformed`. */
export const parseReceipt = (text: string): EvidenceDocument<Receipt> => parseEvidence(KIND, text);

/** @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`. */
export const verifyReceipt = (text: string, evidenceSpki: DerSpki): EvidenceDocument<Receipt> =>
  verifyEvidence(KIND, text, evidenceSpki);
