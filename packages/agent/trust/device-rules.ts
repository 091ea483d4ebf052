import type { Clock } from '@keystead/core/clock';
import type { AnchorRole } from '@keystead/core/trust';
import type { DeviceState } from '../state/index.ts';
import type { PeerRules, StatusSource } from '../tls/index.ts';
import type { CarriedTrust } from './carried-trust.ts';

/** What of a peer's rules a device knows by itself. */
export type DeviceRules = Omit<PeerRules, 'extKeyUsage' | 'expected' | 'staple'>;

export interface RulesSource {
  readonly state: DeviceState;
  readonly clock: Clock;
  /** `TrustUpdater.carried`. */
  readonly carried: () => CarriedTrust | undefined;
  /** Asked besides the filter, where there is a network. */
  readonly ocsp?: StatusSource;
}

/**
 * By what a device judges its peers now: by its bundle, or, before the first, by the anchors it was made with. A device
 * that has had a bundle and cannot read it believes nobody until it is fetched again: the anchors of the factory may be
 * those that the bundle took away.
 */
export function deviceRules({ state, clock, carried, ocsp }: RulesSource, role: AnchorRole, pin?: string): DeviceRules {
  const trust = carried();
  const own = { clock, intermediates: state.intermediates, ...(ocsp === undefined ? {} : { ocsp }) };
  if (trust !== undefined) return { ...own, ...trust.rules(role, clock.now(), pin) };
  // After a recovery the state has none, and the least version that it may take: 0 where nobody has ever seen one.
  const hadOne = (state.trust?.state.version ?? 0) > 0 || (state.trust?.leastVersion ?? 0) > 0;
  return { ...own, anchors: hadOne ? [] : state.anchors };
}
