import { durationText } from '../duration.ts';
import { DEFAULT_FLEET_KEYS } from '../fleet-key-policy.ts';
import type { Policy } from '../policy.ts';
import type { Findings } from './findings.ts';

/** What happens to keys that turn out to be broken: a device whose certificates are taken away stands still. */
export function fleetKeys(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [before.fleetKeys ?? DEFAULT_FLEET_KEYS, after.fleetKeys ?? DEFAULT_FLEET_KEYS];
  if (old.onSharedFactor !== next.onSharedFactor) {
    const text = `keys that share a factor: ${old.onSharedFactor} becomes ${next.onSharedFactor}`;
    found.add('warns', 'fleetKeys.onSharedFactor', text);
  }
  if (old.everySeconds !== next.everySeconds) {
    const text = `they are looked for every ${durationText(next.everySeconds)}, before every ${durationText(old.everySeconds)}`;
    found.add('notes', 'fleetKeys.everySeconds', text);
  }
}
