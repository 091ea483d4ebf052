import type { Findings } from './findings.ts';
import { CAUSES } from './tally.ts';

/** The findings as an aligned table for people: what, value, goal. */
export function formatFindings(found: Findings): string {
  const { certificates, rate, restored, met, traffic } = found;
  const number = (value: number): string =>
    value.toLocaleString('en-US', { maximumSignificantDigits: Math.abs(value) < 1 ? 3 : 12 });
  const gapRows = CAUSES.map((cause) => {
    const { devices, hours, longestMinutes } = found.gaps[cause];
    const text = `${number(devices)} devices, ${number(hours)} h together, the longest ${number(longestMinutes)} min`;
    return [`gaps in grace: ${GAPS[cause]}`, text, cause === 'none' ? '0' : ''];
  });
  const rows = [
    ['devices', number(found.devices), ''],
    ['simulated', simulated(found), ''],
    ['machine time', `${number(found.seconds.factory)} s factory, ${number(found.seconds.field)} s field`, ''],
    [
      'enrolled, renewed, recovered',
      [certificates.enrolled, certificates.renewed, certificates.recovered].map(number).join(', '),
      '',
    ],
    ['renewals, mean', `${number(rate.meanPerSecond)} 1/s`, ''],
    [
      `renewals, peak of ${number(rate.windowHours)} h`,
      `${number(rate.peakPerSecond)} 1/s, ${rate.ratio} times the mean`,
      'at most 1.5',
    ],
    ['most in one hour', number(found.busiestHour), ''],
    ...gapRows,
    [
      'back after the CA compromise',
      `${number(restored.devices)} devices; half in ${number(restored.medianMinutes)} min, all in ${number(restored.allMinutes)} min`,
      '',
    ],
    ['away beyond their grace', `${number(found.beyondGrace)} devices: people help`, ''],
    ['given to revoked devices', number(found.leaked), '0'],
    ['power cuts, times away', `${number(met.powerCuts)}, ${number(met.offline)}`, ''],
    ['clocks wrong, clocks reset', `${number(met.clockErrors)}, ${number(met.clockResets)}`, ''],
    ['requests', number(traffic.requests), ''],
    ['requests and answers, DER', `${number(traffic.bytesPerDeviceAndYear)} bytes a device and year`, ''],
    ...Object.entries(found.refusals).map(([code, times]) => [`refused: ${code}`, number(times), '']),
  ];
  const all = [['what', 'found', 'goal'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Honest about a run that was stopped. */
const simulated = ({ days, plannedDays, lifetimes }: Findings): string =>
  days < plannedDays
    ? `${days} of ${plannedDays} days of ${lifetimes} LDevIDs each: STOPPED there`
    : `${days} days, ${lifetimes} LDevIDs each`;

const GAPS = {
  none: 'nothing went wrong',
  'power cut': 'after a power cut',
  'server away': 'the server was away',
  clock: "the device's clock was wrong",
  'CA compromise': 'its CA was revoked',
} as const;

/** Whether the goals are met: no gap without a cause, nothing for the revoked, and renewals spread. */
export const isMet = ({ gaps, leaked, rate }: Findings): boolean =>
  gaps.none.devices === 0 && leaked === 0 && rate.ratio <= 1.5;
