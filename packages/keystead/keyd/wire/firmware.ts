import { FIRMWARE_FORMATS, MOST_SUBJECT_BYTES } from '@keystead/core/firmware';
import {
  FIRMWARE_ENVIRONMENTS,
  FIRMWARE_KEY_ALGORITHMS,
  FIRMWARE_SIGNATURES,
  KEY_STATES,
  type KeyState,
} from '@keystead/core/lifecycle';
import { z } from 'zod';
import { bytes, certificate, label, requestId, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;
/** As many orders as one answer tells. */
export const MOST_TOLD = 500;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const keyId = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,30}$/);

/** Signs firmware by an order that a quorum signed. The caller gives the subject and has no say in what is signed. */
export const SignFirmware = {
  params: z.strictObject({
    /** The statements as `signFirmwareStatement` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    /** What the order binds by `subjectSha256`. */
    subject: bytes(MOST_SUBJECT_BYTES),
    requestId,
  }),
  result: z.strictObject({
    order: z.string(),
    /** When the order was taken; of one that was carried out before, then. */
    at: time,
    by: label,
    approvers: z.array(label),
    signatures: z.array(
      z.strictObject({
        key: keyId,
        signer: certificate,
        /** From the signer's issuer to the signing root; the signing root itself issues today, so it is empty. */
        chain: z.array(certificate),
        time,
        /** What it was signed by, where that is not the one signature of its kind. */
        scheme: z.enum(FIRMWARE_SIGNATURES).optional(),
        signature: bytes(),
        /** TimeStampToken over the SHA-256 of `signature`; where the policy requires one there is one. */
        timestamp: bytes().optional(),
      }),
    ),
  }),
};

/** What was signed, the oldest first: of a key that is compromised, the list of what to sign again. */
export const FirmwareSignatures = {
  params: z.strictObject({
    /** Only what this key signed, by its id in the policy. */
    key: keyId.optional(),
    /** How many to pass over: 0, or `next` of the answer before. */
    from: z.int().min(0),
    limit: z.int().min(1).max(MOST_TOLD),
  }),
  result: z.strictObject({
    orders: z.array(
      z.strictObject({
        order: z.string(),
        orderSha256: hash,
        at: time,
        product: z.string(),
        environment: z.enum(FIRMWARE_ENVIRONMENTS),
        target: z.string(),
        version: z.string(),
        securityCounter: z.int().nullable(),
        format: z.enum(FIRMWARE_FORMATS),
        keys: z.array(z.strictObject({ id: keyId, spkiSha256: hash })),
        image: z.strictObject({ sha256: hash, bytes: z.int() }),
        subjectSha256: hash,
        documents: z.array(z.strictObject({ name: z.string(), sha256: hash })),
        reason: z.string(),
        rollback: z.boolean(),
        by: label,
        approvers: z.array(label),
        requestId: z.string(),
        /** False for an order whose signature was never given out: keyd stopped before. */
        signed: z.boolean(),
        /**
         * The last order by which the same image was signed without the key that was asked about, by keys that devices
         * believe: none was killed, each is in the anchors. Or null.
         */
        signedAgain: z.string().nullable(),
        /** Whether a higher version or counter was taken for the target: signed again, it goes back. */
        goesBack: z.boolean(),
      }),
    ),
    next: z.int(),
    end: z.boolean(),
  }),
};

/** The keys for firmware of the policy in force. */
export const FirmwareKeys = {
  params: z.strictObject({}),
  result: z.strictObject({
    keys: z.array(
      z.strictObject({
        id: keyId,
        /** Its id in the keystore: what `keystead keys` and orders for keys name. */
        keystoreId: z.string(),
        algorithm: z.enum(FIRMWARE_KEY_ALGORITHMS),
        /** What it signs by, where that is not the one signature of its kind. */
        signature: z.enum(FIRMWARE_SIGNATURES).optional(),
        product: z.string(),
        environment: z.enum(FIRMWARE_ENVIRONMENTS),
        formats: z.array(z.enum(FIRMWARE_FORMATS)),
        /** Null for a production key that no ceremony has certified yet. */
        certificate: certificate.nullable(),
        /** SHA-256 of its public key, hex. */
        spkiSha256: hash,
        state: z.enum(Object.keys(KEY_STATES) as [KeyState, ...KeyState[]]),
        /** How many changes of its state people have ordered. */
        ordered: z.int().min(0),
        /** For how many orders it was used, and for how many it may be at the most. */
        orders: z.int(),
        maxSignatures: z.int().nullable(),
        /** Why it signs nothing now; null where it signs. */
        refused: z.string().nullable(),
      }),
    ),
  }),
};
