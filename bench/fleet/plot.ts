import type { Findings } from './findings.ts';
import { formatFindings } from './report.ts';
import type { FleetRun } from './simulation.ts';
import { CAUSES } from './tally.ts';

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [1_000, 220, 60, 24];
const DAY = 86_400_000;

/** A page of its own, without scripts and without anything from elsewhere: the table, certificates and gaps by the day. */
export function plotPage(run: FleetRun, found: Findings): string {
  const days = run.tally.byDay(run.end.getTime());
  const gaps = CAUSES.filter((cause) => cause !== 'none').map((cause) => {
    const hours = days.map(() => 0);
    for (const gap of run.tally.counts.gaps) {
      const day = Math.floor((gap.from - run.start.getTime()) / DAY);
      if (gap.cause === cause && gap.inGrace && day < hours.length) hours[day] = (hours[day] ?? 0) + gap.ms / 3_600_000;
    }
    return `<h2>Hours without a credential that counts, by the day: ${cause}</h2>\n${bars(hours)}`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A fleet of ${run.devices} devices</title>
<style>body{font:14px/1.4 system-ui,sans-serif;max-width:1040px;margin:2em auto;color:#222}pre{overflow-x:auto}
rect{fill:#2b6cb0}line{stroke:#999}text{font-size:11px;fill:#555}</style>
<h1>A fleet of ${run.devices.toLocaleString('en-US')} devices through ${found.days} days</h1>
<pre>${escaped(formatFindings(found))}</pre>
<h2>Renewals and recoveries by the day</h2>
${bars(days)}
${gaps.join('\n')}
</html>
`;
}

/** One bar a day, from 0 to the highest. */
function bars(values: readonly number[]): string {
  const most = Math.max(1, ...values);
  const wide = (WIDTH - LEFT) / Math.max(1, values.length);
  const drawn = values.map((value, at) => {
    const high = (value / most) * (HEIGHT - BOTTOM);
    const box = [LEFT + at * wide, HEIGHT - BOTTOM - high, Math.max(wide * 0.9, 0.5), high].map((one) =>
      one.toFixed(2),
    );
    return value === 0 ? '' : `<rect x="${box[0]}" y="${box[1]}" width="${box[2]}" height="${box[3]}"/>`;
  });
  const base = HEIGHT - BOTTOM;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<text x="${LEFT - 6}" y="12" text-anchor="end">${Math.round(most).toLocaleString('en-US')}</text>
<text x="${LEFT - 6}" y="${base}" text-anchor="end">0</text>
<line x1="${LEFT}" y1="${base}" x2="${WIDTH}" y2="${base}"/>
<text x="${LEFT}" y="${HEIGHT - 6}">day 0</text><text x="${WIDTH}" y="${HEIGHT - 6}" text-anchor="end">day ${values.length}</text>
${drawn.join('')}
</svg>`;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
