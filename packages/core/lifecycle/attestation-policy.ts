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
});

export type AttestationPolicy = z.infer<typeof AttestationPolicySchema>;

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
  const believed = attestation.anchors.length + (attestation.endorsementKeys?.length ?? 0);
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
