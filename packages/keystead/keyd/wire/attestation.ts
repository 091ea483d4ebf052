import type { CertSha256 } from '@keystead/core/bytes';
import { z } from 'zod';
import { bytes, label, requestId, spkiSha256, time } from '../wire-types.ts';
import { atStation } from './station.ts';
import { elementKey, injectedKey } from './unit-ways.ts';

const certSha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((hex) => hex as CertSha256);
/** A Name: the number of its hash and the digest, hex. */
const name = z.string().regex(/^[0-9a-f]{68,132}$/);
export const challengeId = z.string().regex(/^[0-9a-f]{32}$/, 'must be the id of a challenge');

const attestedKey = z.strictObject({
  origin: z.literal('tpm2-attested'),
  endorsedBy: z.enum(['certificate', 'policy']),
  ekSpkiSha256: spkiSha256,
  ekCertificateSha256: certSha256.optional(),
  ekIssuer: z.string().optional(),
  attestationKeyName: name,
  keyName: name,
});

/** Symmetric keys that the device can have by derivation, with their check values. */
const symmetric = z
  .array(z.strictObject({ purpose: z.string(), version: z.int().min(1), kcv: z.string().regex(/^[0-9A-F]{6}$/) }))
  .max(16)
  .readonly()
  .optional();

/** How it is known where the private key of a unit is. */
export const keyOrigin = z.discriminatedUnion('origin', [
  attestedKey.extend({ symmetric }),
  elementKey.extend({ symmetric }),
  z.strictObject({ origin: z.literal('proof-of-possession'), symmetric }),
  injectedKey.extend({ symmetric }),
]);

/** Which unit is provisioned, where, by whom. */
export const unitAtLine = {
  /** The signed batch ticket, as `signTicket` wrote it. */
  ticket: z.string().min(1).max(16_384),
  deviceId: label,
  station: label,
  /** The operator at the line: a name that stands in the policy. */
  operator: label,
  line: label,
  /** Who stands at the station, shown; operator, station and line must be what it says. */
  at: atStation.optional(),
  requestId,
};

/** The answer to a challenge: what the unit's TPM opened. */
export const attestationAnswer = z.strictObject({ challengeId, secret: bytes(64) });

/** TPM structures without the length before them. */
const structure = bytes(1024);

export const ChallengeAttestation = {
  params: z.strictObject({
    ...unitAtLine,
    /** DER; left out where the policy names the endorsement key itself. */
    ekCertificate: bytes(8192).optional(),
    /** TPMT_PUBLIC of endorsement key, attestation key and the unit's key. */
    ekPublic: structure,
    akPublic: structure,
    keyPublic: structure,
    /** TPMS_ATTEST and TPMT_SIGNATURE of TPM2_Certify: the attestation key certifies the unit's key. */
    attest: structure,
    signature: structure,
  }),
  result: z.strictObject({
    challengeId,
    /** TPMS_ID_OBJECT and the content of TPM2B_ENCRYPTED_SECRET, as TPM2_ActivateCredential takes them. */
    idObject: bytes(256),
    encryptedSecret: bytes(1024),
    expiresAt: time,
    /** What the record will say if the challenge is answered. */
    key: attestedKey,
  }),
};
