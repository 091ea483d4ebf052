import { z } from 'zod';
import { KeysteadError } from '../errors/index.ts';
import type { Profile } from '../x509/index.ts';

/** What a derived key is for: it becomes a part of the KDF's label and of a key's id in the keystore. */
export const DIVERSIFIED_PURPOSE = /^[a-z0-9][a-z0-9-]{0,23}$/;

/** Keys of units that are not made on the device. REQ-KEY-GEN-03, REQ-KEY-KDF-01 */
export const UnitKeysSchema = z.strictObject({
  /** Profiles by which keyd may make the key of a unit that has no random source, and give it out wrapped. */
  injected: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be the id of a profile'))
    .max(8)
    .optional(),
  /** Symmetric keys that each device has of its own, derived from a master in keyd's keystore (SP 800-108r1). */
  diversified: z
    .array(
      z.strictObject({
        purpose: z.string().regex(DIVERSIFIED_PURPOSE, 'must be 1 to 24 of a-z 0-9 -'),
        /** Which master: raised by one to rotate. A device asks again then, and gets another key. */
        version: z.int().min(1).max(9999),
        /** Length of the derived keys. */
        bytes: z.union([z.literal(16), z.literal(32)]),
      }),
    )
    .max(16)
    .optional(),
});

export type UnitKeysPolicy = z.infer<typeof UnitKeysSchema>;
/** One purpose for which each device has a key of its own. */
export type DiversifiedKey = NonNullable<UnitKeysPolicy['diversified']>[number];

/**
 * Injected keys are of units alone, and each purpose has one master in force.
 * @throws KeysteadError `policy.unit-keys-unsound`.
 */
export function checkUnitKeys({
  unitKeys = {},
  profiles,
}: {
  readonly unitKeys?: UnitKeysPolicy;
  readonly profiles: readonly Profile[];
}): void {
  for (const [index, id] of (unitKeys.injected ?? []).entries()) {
    const profile = profiles.find((one) => one.id === id);
    if (profile?.requesters.includes('station') === true && profile.subject.commonName === 'device-id') continue;
    throw unsound(`unitKeys.injected[${index}]`, `${id}, which is no profile of units`);
  }
  const purposes = (unitKeys.diversified ?? []).map(({ purpose }) => purpose);
  for (const [index, purpose] of purposes.entries()) {
    if (purposes.indexOf(purpose) !== index) throw unsound(`unitKeys.diversified[${index}]`, `${purpose} twice`);
  }
}

const unsound = (field: string, seen: string): KeysteadError =>
  new KeysteadError('policy.unit-keys-unsound', { field, seen });
