import type { RotationDeps } from './deps.ts';
import { fleetFacts } from './facts.ts';
import { believes } from './known-by-bundle.ts';
import type { Plan } from './plan.ts';

/** The devices that believe an old root still, by what each reported last. */
export interface StillTrusting {
  readonly devices: number;
  /** One of them. */
  readonly such: string | undefined;
}

/**
 * Counts the devices whose trust bundle believes the old key. That the newest bundle does not is not enough for a root: it
 * is trusted until the last device goes by a bundle without it, or has none that holds. A bundle that has ended makes a
 * device believe nobody, and what a device never reported counts as cut off elsewhere. REQ-KEY-ROT-02
 */
export async function stillTrusting(
  deps: Pick<RotationDeps, 'store' | 'policy' | 'uptakeOf' | 'bundles'>,
  plan: Plan,
  now: number,
): Promise<StillTrusting> {
  const known = new Map<number, boolean>();
  const trusts = (version: number): boolean => {
    const before = known.get(version);
    if (before !== undefined) return before;
    const content = deps.bundles.version(version)?.content;
    const found = content !== undefined && content.expires * 1000 > now && believes(plan, content, plan.old, now);
    known.set(version, found);
    return found;
  };
  let devices = 0;
  let such: string | undefined;
  for await (const page of fleetFacts(deps, plan)) {
    for (const { facts } of page) {
      const bundle = facts.uptake?.bundle;
      if (bundle === undefined || !trusts(bundle.version)) continue;
      devices += 1;
      such ??= facts.deviceId;
    }
  }
  return { devices, such };
}
