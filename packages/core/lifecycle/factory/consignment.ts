import { z } from 'zod';
import type { DerSpki } from '../../bytes/index.ts';
import type { Signer } from '../../crypto/index.ts';
import { deviceId, documentId, hash, serial, spkiHash } from './fields.ts';
import { factoryName } from './name.ts';
import { COUNTER_KINDS } from './request.ts';
import {
  EVIDENCE_CODES,
  type EvidenceDocument,
  type EvidenceKind,
  parseEvidence,
  signByEvidence,
  verifyEvidence,
} from './signed.ts';

/** The ways to a key, in order of preference. */
export const KEY_ORIGINS = ['tpm2-attested', 'secure-element', 'proof-of-possession', 'injected'] as const;

/** The most units of one consignment. */
export const MOST_CONSIGNED = 500;

const instant = z.iso.datetime({ offset: false });

const UnitSchema = z
  .strictObject({
    deviceId,
    /** Of its IDevID, by the node's manufacturing sub-CA. */
    serial,
    spkiSha256: spkiHash,
    /**
     * SHA-256 of the provisioning record's bytes, hex; null where keyd was stopped between certificate and record. Then
     * nobody was given the certificate, and the device gets another one for its key when it comes again.
     */
    recordSha256: hash.nullable(),
    ticket: z.strictObject({ id: documentId, sha256: hash }),
    /** As the record says it; null where there is none. */
    keyOrigin: z.enum(KEY_ORIGINS).nullable(),
    /** When it was provisioned. */
    at: instant,
  })
  .refine((unit) => (unit.recordSha256 === null) === (unit.keyOrigin === null), {
    path: ['keyOrigin'],
    message: 'must be there exactly where there is a record',
  });
export type ConsignedUnit = z.infer<typeof UnitSchema>;

/**
 * What the keyd of a factory node tells headquarters: units, out of its own journal, in the journal's order and each
 * once. Consignments are counted from 1 and chained by hash, so that one that is missing or was made twice is seen.
 * Signed by the node's evidence key.
 */
const ConsignmentSchema = z.strictObject({
  v: z.literal(1),
  factory: factoryName,
  number: z.int().min(1),
  /** SHA-256 of the payload of the consignment before; null for the first. */
  previousSha256: hash.nullable(),
  madeAt: instant,
  /** The entries of the node's journal that this one covers: from the one after the last consignment on. */
  journal: z.strictObject({ from: z.int().min(1), to: z.int().min(1) }),
  /**
   * Every certificate that the node signed at this time or before is in this consignment or in one before it. Earlier than
   * `madeAt` while a certificate is being made; no later than the first entry that a recount may have cost the journal;
   * absent where the node says nothing of it (docs/filter.md).
   */
  completeUntil: instant.optional(),
  /** One for each certificate: a device that came again after a crash has the later one. */
  units: z.array(UnitSchema).min(1).max(MOST_CONSIGNED),
  /** How many units each ticket of these units has had on this node by then. */
  tickets: z.array(z.strictObject({ id: documentId, sha256: hash, units: z.int().min(0), quota: z.int().min(1) })),
  counter: z.strictObject({ kind: z.enum(COUNTER_KINDS), value: z.int().min(0) }),
  /** The newest checkpoint of the node's audit log (C2SP signed note). */
  checkpoint: z.string().max(4096).nullable(),
});
export type Consignment = z.infer<typeof ConsignmentSchema>;

const KIND: EvidenceKind<Consignment> = {
  codes: EVIDENCE_CODES,
  context: 'keystead consignment v1\n',
  name: 'consignment',
  // The brands of serials and hashes are types only: what is read is what is encoded.
  schema: ConsignmentSchema as z.ZodType<Consignment>,
  maxBytes: 2 * 1024 * 1024,
};

/** Returns the file of a consignment. @throws KeysteadError `factory.document-malformed`. */
export const signConsignment = (draft: Omit<Consignment, 'v'>, signer: Pick<Signer, 'sign'>): Promise<string> =>
  signByEvidence(KIND, { v: 1, ...draft }, signer);

/** Reads a consignment; verifies nothing. @throws KeysteadError `factory.document-malformed`. */
export const parseConsignment = (text: string): EvidenceDocument<Consignment> => parseEvidence(KIND, text);

/** @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`. */
export const verifyConsignment = (text: string, evidenceSpki: DerSpki): EvidenceDocument<Consignment> =>
  verifyEvidence(KIND, text, evidenceSpki);
