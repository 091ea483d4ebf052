import { z } from 'zod';
import type { DerCertificate, DerSpki, SpkiSha256 } from '../../bytes/index.ts';
import { fromBase64, toBase64 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';

/** For what a device goes by an anchor: to believe servers, other devices, firmware. */
export const ANCHOR_ROLES = ['server', 'device', 'firmware'] as const;
export type AnchorRole = (typeof ANCHOR_ROLES)[number];

/** What a pin is for: the key in use, the one that comes after it, and the one in the safe. */
export const PIN_USES = ['current', 'next', 'backup'] as const;
export type PinUse = (typeof PIN_USES)[number];

/** Whole seconds since 1970, until the end of 9999. */
const seconds = z.int().min(0).max(253_402_300_799);
const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z 0-9 -');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const window = { from: seconds, until: seconds };
const base64 = <T extends Uint8Array>(max: number) =>
  z
    .base64()
    .min(1)
    .max(Math.ceil(max / 3) * 4)
    .transform((text) => fromBase64(text) as T)
    // As long as its text may be, there may be two bytes more.
    .refine((bytes) => bytes.length <= max, `must have at most ${max} bytes`);

/**
 * What a device goes by: one signed document, so that no part of one can be put together with a part of another. All
 * times are whole seconds since 1970; a window is from `from` on and before `until`.
 */
const ContentSchema = z.strictObject({
  v: z.literal(1),
  /** For whom it is: a device takes the bundles of its own fleet only. */
  fleet: name,
  /** Goes up by each; a device never goes back. */
  version: z.int().min(1).max(0xffff_ffff),
  issuedAt: seconds,
  /** From then on nothing is believed by this one: who holds new ones back gains no more than that. */
  expires: seconds,
  anchors: z
    .array(z.strictObject({ role: z.enum(ANCHOR_ROLES), certificate: base64<DerCertificate>(4096), ...window }))
    .max(16),
  /** The keys that a device connects to by name, by SHA-256 of their SubjectPublicKeyInfo (as RFC 7469 section 2.4). */
  pins: z
    .array(
      z.strictObject({
        role: name,
        keys: z
          .array(
            z.strictObject({
              spkiSha256: hash.transform((hex) => hex as SpkiSha256),
              use: z.enum(PIN_USES),
              ...window,
            }),
          )
          .max(8),
      }),
    )
    .max(16),
  /** Who may sign the bundles after this one. */
  signers: z.array(z.strictObject({ spki: base64<DerSpki>(1024), ...window })).max(8),
  /** The firmware that is taken at the least, by product. */
  firmware: z
    .array(
      z.strictObject({
        product: name,
        /** SHA-256 of the SubjectPublicKeyInfo of each key whose signature counts. */
        signers: z
          .array(hash.transform((hex) => hex as SpkiSha256))
          .min(1)
          .max(8),
        minimumSecurityCounter: z.int().min(0).max(0xffff_ffff),
      }),
    )
    .max(32),
  /** SHA-256 of the revocation filter that goes with it, which comes as a file of its own; null when there is none. */
  filterSha256: hash.nullable(),
});

export type BundleContent = z.output<typeof ContentSchema>;
/** The same as JSON has it, bytes in base64. */
export type BundleJson = z.input<typeof ContentSchema>;

export const jsonOfContent = (content: BundleContent): BundleJson => ({
  ...content,
  anchors: content.anchors.map((anchor) => ({ ...anchor, certificate: toBase64(anchor.certificate) })),
  signers: content.signers.map((signer) => ({ ...signer, spki: toBase64(signer.spki) })),
});

/** @throws KeysteadError `trust-bundle.malformed` with the field. */
export function contentOfJson(value: unknown): BundleContent {
  const parsed = ContentSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new KeysteadError('trust-bundle.malformed', {
    field: issue?.path.join('.') || 'bundle',
    seen: issue?.message ?? 'malformed',
    cause: parsed.error,
  });
}
