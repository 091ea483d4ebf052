import type { CampaignView, DryRunView } from '../rotation/index.ts';
import { table } from './operator.ts';

/** The most devices that are printed one by one. */
const PRINTED = 20;

/** A campaign for people: where it is, and how far each ring. */
export function campaignText(view: CampaignView): string {
  const { id, kind, target, state, was, pauseReason, planSha256, plannedBy, times, retireNotBefore } = view;
  const at = was === null ? state : `${state} (it was ${was}): ${pauseReason ?? ''}`;
  const facts = [
    ['campaign', id],
    ['rotates', `${kind} ${target}`],
    ['state', at],
    ['plan', `${planSha256}, by ${plannedBy}: ${view.plan.reason}`],
    ...Object.entries(times).flatMap(([what, time]) => (time === null ? [] : [[what, time]])),
    ...(retireNotBefore === null ? [] : [['retires', `not before ${retireNotBefore}`]]),
    ...(view.insistedBy.length === 0 ? [] : [['insist', view.insistedBy.join(', ')]]),
  ];
  const width = Math.max(...facts.map(([name = '']) => name.length)) + 2;
  const head = facts.map(([name = '', value = '']) => `${name.padEnd(width)}${value}`).join('\n');
  const rings = view.rings.map(({ name, open, devices, done, failed, lost, verdict, windowEnd }) => [
    name,
    open ? verdict : 'closed',
    `${done} of ${devices}`,
    String(failed),
    String(lost),
    windowEnd ?? '-',
  ]);
  return `${head}\n\n${table([['ring', 'is', 'moved', 'failed', 'lost', 'window until'], ...rings])}\n`;
}

/** The answer of a dry run: how many would be cut off, which, and why. */
export function dryRunText(run: DryRunView): string {
  const { campaign, of, counts, reasons, cutOff, leftOut, devicesSha256 } = run;
  const old = oldTrustedText(run);
  const when = of === 'forecast' ? 'if it goes as planned' : 'if it were done now';
  const others = `${counts.moved} moved, ${counts.expected} expected to move, ${counts.unaffected} unaffected`;
  const total = counts['cut-off'];
  if (total === 0) return `${campaign}: no device would be cut off ${when} (${others})\n${old}`;
  const devices = total === 1 ? 'this 1 device' : `these ${total} devices`;
  const lines = [
    `${campaign}: ${devices} would be cut off ${when} (${others})`,
    ...reasons.map(({ why, text, devices: count }) => `  ${String(count).padStart(7)}  ${why}: ${text}`),
    '',
    table([
      ['device', 'product', 'ring', 'why'],
      ...cutOff
        .slice(0, PRINTED)
        .map(({ deviceId, model, ring, why, insisted }) => [
          deviceId,
          model,
          ring,
          insisted ? `${why.join(', ')}; a quorum insists` : why.join(', '),
        ]),
    ]),
  ];
  const more = Math.max(0, cutOff.length - PRINTED) + leftOut;
  if (more > 0) lines.push(`and ${more} more: --json`);
  lines.push('', `list of them  ${devicesSha256}`);
  return `${lines.join('\n')}\n${old}`;
}

/** Who believes the old key still, where somebody does. */
function oldTrustedText({ oldTrusted: { devices, such, until } }: DryRunView): string {
  const [first] = such;
  if (first === undefined) return '';
  return `${devices} of the others believe the old key still, such as ${first}; the last until ${until}\n`;
}

/** The campaigns as a table. */
export const campaignsText = (views: readonly CampaignView[]): string =>
  views.length === 0
    ? 'no campaign\n'
    : `${table([
        ['campaign', 'rotates', 'state', 'rings', 'planned'],
        ...views.map(({ id, kind, target, state, rings, times }) => [
          id,
          `${kind} ${target}`,
          state,
          `${rings.filter(({ open }) => open).length} of ${rings.length}`,
          times.planned ?? '-',
        ]),
      ])}\n`;
