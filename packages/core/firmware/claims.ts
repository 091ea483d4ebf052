import type { FirmwareClaims, FirmwareFormat } from './format.ts';

const FIELDS = ['product', 'version', 'securityCounter'] as const;

/** Where an image and what people say of it differ. */
export interface ClaimDifference {
  readonly field: (typeof FIELDS)[number];
  /** What the image says; null where it has none though its format has a place for it. */
  readonly image: string | number | null;
  readonly said: string | number | null;
}

/**
 * The first claim in which an image differs from what is said of it. Where the format has no place for a claim, people's
 * word is all there is; where it has one and the image says nothing, nothing may be said of it: a counter that people
 * approve and a device never sees would hold nobody back.
 */
export function claimDifference(
  { places = [] }: Pick<FirmwareFormat, 'places'>,
  claims: FirmwareClaims,
  said: FirmwareClaims,
): ClaimDifference | undefined {
  const field = FIELDS.find((one) => claims[one] !== said[one] && (claims[one] !== null || places.includes(one)));
  return field === undefined ? undefined : { field, image: claims[field], said: said[field] };
}
