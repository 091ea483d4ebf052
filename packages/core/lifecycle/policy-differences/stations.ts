import { durationText } from '../duration.ts';
import type { Policy } from '../policy.ts';
import { stationRules } from '../station/rules.ts';
import type { Findings } from './findings.ts';

/** Whether a line works as it did, and for how long somebody is signed on. */
export function stations(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [stationRules(before), stationRules(after)];
  if (!old.required && next.required)
    found.add('breaks', 'stations.required', 'units of operators without a station are refused from then on');
  if (old.required && !next.required)
    found.add('warns', 'stations.required', 'units need no station any more: no sign-on stands behind their records');
  if (old.maxSignOnSeconds === next.maxSignOnSeconds) return;
  const [from, to] = [old, next].map(({ maxSignOnSeconds }) => durationText(maxSignOnSeconds));
  const text = `a sign-on holds for ${to} at most, and held for ${from}`;
  const shorter = next.maxSignOnSeconds < old.maxSignOnSeconds;
  found.add(shorter ? 'breaks' : 'warns', 'stations.maxSignOnSeconds', text);
}
