import type { Findings } from './findings.ts';
import { type EventKind, eventsOf } from './plan.ts';
import { formatFindings } from './report.ts';
import type { FleetRun } from './simulation.ts';
import { CAUSES } from './tally.ts';

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [960, 230, 60, 56, 16, 24];
const BASE = HEIGHT - BOTTOM;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** After the compromise of a CA, so many hours are drawn; who is back later stands in the last one. */
const HOURS_BACK = 24;

/** A page of its own, without scripts and without anything from elsewhere: the table, certificates and gaps by the day. */
export function plotPage(run: FleetRun, found: Findings): string {
  const days = run.tally.byDay(run.end.getTime());
  const marks = marksOf(run);
  const mean = found.rate.meanPerSecond * 86_400;
  const lines = [
    { value: mean, label: 'mean' },
    { value: 1.5 * mean, label: '1.5 times' },
  ];
  const gaps = CAUSES.filter((cause) => cause !== 'none').map((cause) => {
    const hours = days.map(() => 0);
    for (const gap of run.tally.counts.gaps) {
      const day = Math.floor((gap.from - run.start.getTime()) / DAY);
      if (gap.cause === cause && gap.inGrace && day < hours.length) hours[day] = (hours[day] ?? 0) + gap.ms / HOUR;
    }
    const plot = hours.some((one) => one > 0) ? bars(hours, { unit: 'day', marks }) : '<p>None.</p>';
    return `<h2>Hours without a credential that counts, of all devices together, by the day: ${cause}</h2>\n${plot}`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A fleet of ${run.devices} devices</title>
<style>body{font:14px/1.4 system-ui,sans-serif;max-width:1040px;margin:2em auto;color:#222}pre{overflow-x:auto}
h2{font-size:15px;margin:1.6em 0 .3em}rect{fill:#2b6cb0}line{stroke:#999}.mark{stroke:#c53030;stroke-dasharray:3 3}
.level{stroke:#2f855a;stroke-dasharray:6 4}text{font-size:11px;fill:#555}.marked{fill:#c53030}.levelled{fill:#2f855a}</style>
<h1>A fleet of ${run.devices.toLocaleString('en-US')} devices through ${found.days} days</h1>
<pre>${escaped(formatFindings(found))}</pre>
<p>${marks.map(({ letter, day, what }) => `<b>${letter}</b> day ${Math.floor(day)}: ${what}`).join('; ')}.</p>
<h2>Renewals and recoveries by the day</h2>
${bars(days, { unit: 'day', marks, lines, top: Math.max(3 * mean, 10) })}
<h2>Devices that were back after the compromise, by the hour (the last bar: later)</h2>
${bars(back(run), { unit: 'hour' })}
${gaps.join('\n')}
</html>
`;
}

const HAPPENED: Readonly<Record<Exclude<EventKind, 'back'>, string>> = {
  'new key': 'a new key of the operational CA',
  compromise: 'the CA is compromised and gets a new key',
  'batch revoked': 'a batch of devices is revoked',
  away: 'the server is away',
};

interface Mark {
  readonly letter: string;
  readonly day: number;
  readonly what: string;
}

/** What happened to the server until the end of the run, with a letter for each. */
function marksOf({ plan, start, end }: FleetRun): Mark[] {
  const happened = eventsOf(plan).flatMap(({ after, kind }) =>
    kind === 'back' || start.getTime() + after > end.getTime() ? [] : [{ day: after / DAY, what: HAPPENED[kind] }],
  );
  return happened.map((one, at) => ({ ...one, letter: String.fromCharCode(65 + (at % 26)) }));
}

/** How many devices had a good credential again, by the hour after the compromise. */
function back({ tally }: FleetRun): number[] {
  const hours = Array.from({ length: HOURS_BACK + 1 }, () => 0);
  for (const ms of tally.counts.restored) {
    const hour = Math.min(HOURS_BACK, Math.floor(ms / HOUR));
    hours[hour] = (hours[hour] ?? 0) + 1;
  }
  return hours;
}

interface Axes {
  readonly unit: 'day' | 'hour';
  readonly marks?: readonly Mark[];
  /** Where bars are cut off: one day of a compromise would make all others flat. */
  readonly top?: number;
  readonly lines?: readonly { readonly value: number; readonly label: string }[];
}

/** One bar a unit, from 0 to the highest, with what happened above them. */
function bars(values: readonly number[], { unit, marks = [], lines = [], top = Infinity }: Axes): string {
  const most = Math.max(1, Math.min(top, Math.max(...values, ...lines.map(({ value }) => value))));
  const wide = (WIDTH - LEFT) / Math.max(1, values.length);
  const heightOf = (value: number): number => (value / most) * (BASE - TOP);
  let cuts = 0;
  const drawn = values.map((value, at) => {
    const high = heightOf(Math.min(value, most));
    const box = [LEFT + at * wide, BASE - high, Math.max(wide * 0.9, 0.5), high].map((one) => one.toFixed(2));
    // One below the other: two days beside each other would stand on the same spot.
    if (value > most) cuts += 1;
    const cut =
      value > most
        ? `<text x="${Number(box[0]) + wide}" y="${TOP + 12 * cuts}">${value.toLocaleString('en-US')}</text>`
        : '';
    return value === 0 ? '' : `${cut}<rect x="${box[0]}" y="${box[1]}" width="${box[2]}" height="${box[3]}"/>`;
  });
  const marked = marks.map(({ day, letter }, at) => {
    const x = (LEFT + day * wide).toFixed(2);
    // What is on the same day stands side by side.
    const beside = marks.slice(0, at).filter((other) => Math.abs(other.day - day) * wide < 9).length * 9;
    return `<line class="mark" x1="${x}" y1="${TOP}" x2="${x}" y2="${BASE}"/><text class="marked" x="${(Number(x) + beside).toFixed(2)}" y="11" text-anchor="middle">${letter}</text>`;
  });
  const levels = lines.map(({ value, label }) => {
    const y = (BASE - heightOf(value)).toFixed(2);
    return `<line class="level" x1="${LEFT}" y1="${y}" x2="${WIDTH}" y2="${y}"/><text class="levelled" x="${WIDTH + 4}" y="${(Number(y) + 4).toFixed(2)}">${label}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH + RIGHT} ${HEIGHT}" role="img">
<text x="${LEFT - 6}" y="${TOP + 8}" text-anchor="end">${Math.round(most).toLocaleString('en-US')}</text>
<text x="${LEFT - 6}" y="${BASE}" text-anchor="end">0</text>
<line x1="${LEFT}" y1="${BASE}" x2="${WIDTH}" y2="${BASE}"/>
<text x="${LEFT}" y="${HEIGHT - 6}">${unit} 0</text><text x="${WIDTH}" y="${HEIGHT - 6}" text-anchor="end">${unit} ${values.length}</text>
${drawn.join('')}${levels.join('')}${marked.join('')}
</svg>`;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
