import { FIRMWARE_FORMATS } from '@keystead/core/firmware';
import { FIRMWARE_ENVIRONMENTS, FIRMWARE_KEY_CHANGES, FIRMWARE_SIGNATURES } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { hex, isoTime, numbered } from './journal-fields.ts';
import { DESTROYED_WHY } from './wire/firmware-key.ts';

/** How far passkeys had counted by which an order was signed. */
const passkeys = z
  .array(
    z.strictObject({
      signer: z.string(),
      credential: hex,
      count: z.int().min(0),
      statement: hex,
      signedAt: z.string(),
    }),
  )
  .optional();

/**
 * An order to sign firmware that a quorum signed and keyd has taken: from here on it counts, whatever becomes of the
 * signature. REQ-KEY-SOD-02, REQ-KEY-STO-03
 */
export const FirmwareOrderEntry = z.strictObject({
  ...numbered,
  kind: z.literal('firmware-order'),
  order: z.string(),
  orderSha256: hex,
  product: z.string(),
  environment: z.enum(FIRMWARE_ENVIRONMENTS),
  target: z.string(),
  version: z.string(),
  securityCounter: z.int().min(0).nullable(),
  format: z.enum(FIRMWARE_FORMATS),
  /** Which keys sign, by their ids in the policy, and which keys those were. */
  keys: z.array(z.strictObject({ id: z.string(), spkiSha256: hex })).min(1),
  image: z.strictObject({ sha256: hex, bytes: z.int().min(0) }),
  subjectSha256: hex,
  documents: z.array(z.strictObject({ name: z.string(), sha256: hex })),
  reason: z.string(),
  rollback: z.boolean(),
  by: z.string(),
  approvers: z.array(z.string()),
  passkeys,
  requestId: z.string(),
});
export type FirmwareOrderJournalEntry = z.infer<typeof FirmwareOrderEntry>;

/** A certificate of a firmware key, by the signing root, that keyd took from a ceremony: before it signs by it. */
export const FirmwareCertificateEntry = z.strictObject({
  ...numbered,
  kind: z.literal('firmware-certificate'),
  /** The id of the key in the policy. */
  key: z.string(),
  certificateSha256: hex,
  serial: hex,
  spkiSha256: hex,
  notBefore: isoTime,
  notAfter: isoTime,
  /** The last ceremony that was imported then. */
  transcriptSha256: hex,
});
export type FirmwareCertificateJournalEntry = z.infer<typeof FirmwareCertificateEntry>;

/** An order of operators about a firmware key: killed for good, or brought back from a suspension. REQ-KEY-SOD-02 */
export const FirmwareKeyEntry = z.strictObject({
  ...numbered,
  kind: z.literal('firmware-key'),
  /** The key's id in the keystore, and which key that was. */
  key: z.string(),
  spkiSha256: hex,
  change: z.enum(FIRMWARE_KEY_CHANGES),
  /** What it was used for at the least, where the order says so. */
  used: z.strictObject({ orders: z.int().min(0), signature: z.enum(FIRMWARE_SIGNATURES).nullable() }).optional(),
  order: z.string(),
  orderSha256: hex,
  by: z.string(),
  approvers: z.array(z.string()),
  passkeys,
  reason: z.string(),
  requestId: z.string(),
});
export type FirmwareKeyJournalEntry = z.infer<typeof FirmwareKeyEntry>;

/** The signatures that were made for an order, before they are given out: the same order again has these. */
export const FirmwareSignatureEntry = z.strictObject({
  ...numbered,
  kind: z.literal('firmware-signature'),
  orderSha256: hex,
  /** The time that was signed, where the format names one. */
  signedAt: isoTime,
  signatures: z
    .array(
      z.strictObject({
        key: z.string(),
        /** DER in base64: what stands in a later `trust/` may be another. */
        certificate: z.base64(),
        /** What it was signed by, where that is not the one signature of its kind. */
        scheme: z.enum(FIRMWARE_SIGNATURES).optional(),
        signature: z.base64(),
      }),
    )
    .min(1),
});
export type FirmwareSignatureJournalEntry = z.infer<typeof FirmwareSignatureEntry>;

/** Time stamps of the signatures of an order, before they are given out: the same order again has these. */
export const FirmwareStampEntry = z.strictObject({
  ...numbered,
  kind: z.literal('firmware-stamp'),
  orderSha256: hex,
  /** TimeStampToken, DER in base64, over the SHA-256 of the value of the signature. */
  tokens: z.array(z.strictObject({ key: z.string(), token: z.base64() })).min(1),
});
export type FirmwareStampJournalEntry = z.infer<typeof FirmwareStampEntry>;

/** A firmware key that is destroyed: written before the keystore lets it go, so that none goes untold. REQ-KEY-AUD-01 */
export const FirmwareDestroyedEntry = z.strictObject({
  ...numbered,
  kind: z.literal('firmware-destroyed'),
  /** The key's id in the keystore, and which key that was. */
  key: z.string(),
  spkiSha256: hex,
  why: z.enum(DESTROYED_WHY),
});
export type FirmwareDestroyedJournalEntry = z.infer<typeof FirmwareDestroyedEntry>;
