import type { Period } from './key-purposes.ts';

/** Largest first; a unit is used when it divides the time, so that the words say exactly what the policy says. */
const UNITS = [
  ['year', 365 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

/** A period in words: `20 years`, `90 seconds`, `as long as the device`. A year has 365 days. */
export function durationText(period: Period): string {
  if (period === 'none') return 'as long as the device';
  if (period === 0) return 'none';
  const [unit, length] = UNITS.find(([, each]) => period % each === 0) ?? ['second', 1];
  const count = period / length;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
