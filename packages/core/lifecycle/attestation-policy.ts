import { z } from 'zod';
import { type DerCertificate, fromBase64 } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { formatName, readCertificate } from '../x509/index.ts';

const certificate = z
  .string()
  .max(16_384)
  .refine((text) => {
    try {
      return fromBase64(text).length > 0;
    } catch {
      return false;
    }
  }, 'must be a certificate, base64 of its DER');

/**
 * Whose secure elements are believed: chips whose maker put a key into each and certified it. Chips whose certificate
 * comes with further CAs of their maker may show those; they are believed by the path alone.
 */
const SecureElementsSchema = z.strictObject({
  /** Roots of the makers, base64 DER. */
  anchors: z.array(certificate).min(1).max(64),
  /** CAs of the makers between a root and the chips, base64 DER. */
  intermediates: z.array(certificate).max(256).optional(),
  /**
   * Certificate policies, dotted: where they are there, the path must be valid under one of them (RFC 5280 section
   * 6.1.1 (c) and (f)). For makers who certify other things under the same root.
   */
  policies: z
    .array(z.string().regex(/^[0-2](?:\.(?:0|[1-9][0-9]{0,9})){1,32}$/, 'must be an object identifier'))
    .min(1)
    .max(32)
    .optional(),
});

/** Whose TPMs are believed when a device shows that its key is in one. REQ-KEY-GEN-03 */
export const AttestationPolicySchema = z.strictObject({
  /** Whether every unit must be attested. Where it is false, a ticket may still demand it of its batch. */
  required: z.boolean(),
  /** Roots of the makers of TPMs, base64 DER. */
  anchors: z.array(certificate).max(64),
  /** CAs of the makers between a root and the endorsement certificates, base64 DER. */
  intermediates: z.array(certificate).max(256).optional(),
  /**
   * Endorsement keys that are believed without a certificate, SHA-256 of each SubjectPublicKeyInfo, hex: of TPMs whose
   * maker gave them none, read from each chip at incoming goods by somebody whom the quorum of the policy trusts.
   */
  endorsementKeys: z
    .array(z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex'))
    .max(10_000)
    .optional(),
  /** Without it no secure element is believed. */
  secureElements: SecureElementsSchema.optional(),
});

export type AttestationPolicy = z.infer<typeof AttestationPolicySchema>;
export type SecureElementPolicy = z.infer<typeof SecureElementsSchema>;

/** A certificate as the policy has it. */
export const makerCertificate = (base64: string): DerCertificate => fromBase64(base64) as DerCertificate;

/** The name by which people know a maker's CA. @throws KeysteadError `cert.not-der`. */
export const makerName = (base64: string): string => formatName(readCertificate(makerCertificate(base64)).subject);

/**
 * Each certificate is one of a CA, and what every unit must show can be shown at all.
 * @throws KeysteadError `policy.attestation-unsound`.
 */
export function checkAttestationRules({ attestation }: { readonly attestation?: AttestationPolicy }): void {
  if (attestation === undefined) return;
  for (const part of ['anchors', 'intermediates'] as const) {
    for (const [index, base64] of (attestation[part] ?? []).entries()) {
      requireCa(base64, `attestation.${part}[${index}]`);
    }
  }
  const { secureElements } = attestation;
  for (const part of ['anchors', 'intermediates'] as const) {
    for (const [index, base64] of (secureElements?.[part] ?? []).entries()) {
      requireCa(base64, `attestation.secureElements.${part}[${index}]`);
    }
  }
  const chips = secureElements?.anchors.length ?? 0;
  const believed = attestation.anchors.length + (attestation.endorsementKeys?.length ?? 0) + chips;
  if (!attestation.required || believed > 0) return;
  throw unsound('attestation.required', 'true, where neither a maker nor an endorsement key is believed');
}

function requireCa(base64: string, field: string): void {
  let ca: boolean;
  try {
    ({ ca } = readCertificate(makerCertificate(base64)));
  } catch (cause) {
    throw unsound(field, cause instanceof Error ? cause.message : 'something that cannot be read', cause);
  }
  if (!ca) throw unsound(field, 'a certificate that is not one of a CA');
}

const unsound = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('policy.attestation-unsound', { field, seen, cause });
