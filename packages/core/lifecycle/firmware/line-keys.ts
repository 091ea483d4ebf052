import type { FirmwareEnvironment, FirmwarePolicy } from './policy.ts';

/** The keys of one product in one environment, by their ids in the policy. */
export interface LineKeys {
  /** By these firmware is signed (SP 800-57 pt 1 r5 section 7: active). */
  readonly signs: readonly string[];
  /** Devices trust these too, and nothing is signed by them any more (deactivated), or not yet (pre-active). */
  readonly trusted: readonly string[];
  /** In no anchor any more: what they signed starts on no device that has followed. */
  readonly retired: readonly string[];
}

/**
 * Which keys a line signs with and which its devices trust, in the order of the policy. A line that the policy has not
 * has none. Whether a key was killed stands in keyd's journal and not here. REQ-KEY-ROT-02
 */
export function lineKeys(
  { firmware }: { readonly firmware?: FirmwarePolicy | undefined },
  { product, environment }: { readonly product: string; readonly environment: FirmwareEnvironment },
): LineKeys {
  const line = firmware?.products.find((one) => one.product === product)?.environments[environment];
  const own = (firmware?.keys ?? []).filter((key) => key.product === product && key.environment === environment);
  const ids = own.map(({ id }) => id);
  const signs = ids.filter((id) => line?.keys.includes(id) === true);
  const trusted = ids.filter((id) => !signs.includes(id) && line?.trusted?.includes(id) === true);
  return { signs, trusted, retired: ids.filter((id) => !signs.includes(id) && !trusted.includes(id)) };
}
