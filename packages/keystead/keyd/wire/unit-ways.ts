import type { CertSha256, SpkiSha256 } from '@keystead/core/bytes';
import { z } from 'zod';
import { bytes, certificate, label, requestId, time } from '../wire-types.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const spkiSha256 = sha256.transform((hex) => hex as SpkiSha256);

/** A chip that a maker of the policy certified. */
const chip = {
  chipCertificateSha256: sha256.transform((hex) => hex as CertSha256),
  chipSpkiSha256: spkiSha256,
  chipIssuer: z.string(),
  chipSerial: z.string(),
};

export const elementKey = z.strictObject({
  origin: z.literal('secure-element'),
  form: z.enum(['certified', 'attested']),
  ...chip,
});

export const injectedKey = z.strictObject({
  origin: z.literal('injected'),
  wrappedTo: spkiSha256,
  packageSha256: sha256,
  chip: z.strictObject(chip).optional(),
});

/** The chip's certificate first, then CAs of its maker, in any order. */
export const chipChain = z.array(certificate).min(1).max(6);

/** How a unit came to its key, where that is not by a TPM and more is known than that it signed its request. */
export const unitWay = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('secure-element'),
    chain: chipChain,
    /** What the certified key says of the key of the request; left out where they are one. */
    statement: z.strictObject({ challengeId: z.string().regex(/^[0-9a-f]{32}$/), signature: bytes(1024) }).optional(),
  }),
  /** The request is the one that `makeUnitKey` gave. */
  z.strictObject({ kind: z.literal('injected') }),
]);

/** SubjectPublicKeyInfo, DER, on P-256 or P-384. */
const recipient = bytes(256);

/** Which unit is provisioned, where, by whom. Those of `provision`. */
interface UnitAtLine extends z.ZodRawShape {
  deviceId: typeof label;
}

/** A challenge to a chip whose certified key is to attest another one. */
export const challengeElement = <Unit extends UnitAtLine>(unitAtLine: Unit) => ({
  params: z.strictObject({ ...unitAtLine, chain: chipChain }),
  result: z.strictObject({
    challengeId: z.string(),
    /** 32 bytes: a part of what the chip signs. */
    challenge: bytes(32),
    expiresAt: time,
    chip: z.strictObject(chip),
  }),
});

/** A key that keyd makes for a unit that can make none, wrapped to that unit. */
export const makeUnitKey = <Unit extends UnitAtLine>(unitAtLine: Unit) => ({
  params: z.strictObject({
    ...unitAtLine,
    algorithm: z.enum(['P-256', 'P-384', 'Ed25519']),
    recipient,
    /** Where the recipient key is in a chip: its certificate, of that very key, and CAs of its maker. */
    chain: chipChain.optional(),
  }),
  result: z.strictObject({
    /** PKCS#10, DER, for `provision`. */
    csr: bytes(),
    /** ContentInfo, DER, of EnvelopedData to the recipient over SignedData by the evidence key over AsymmetricKeyPackage. */
    envelope: bytes(),
    spkiSha256,
    /** Whether it is the package of before. */
    repeated: z.boolean(),
  }),
});

/** The key that a device has for one purpose, wrapped to a key that the device signed. */
export const DeriveUnitKey = {
  params: z.strictObject({
    deviceId: label,
    purpose: z.string().max(24),
    /** Of the device, in force. */
    certificate,
    recipient,
    /** By the key of the certificate, over `diversifiedRequest`. */
    proof: bytes(1024),
    requestId,
  }),
  result: z.strictObject({
    version: z.int(),
    kcv: z.string(),
    /** ContentInfo, DER, of EnvelopedData to the recipient over SignedData by the evidence key over SymmetricKeyPackage. */
    envelope: bytes(),
  }),
};
