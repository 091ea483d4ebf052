import { KeysteadError } from '@keystead/core/errors';
import { Command } from 'commander';
import type { RestClient } from '../client/rest.ts';
import type { CampaignView } from '../rotation/index.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { campaignText } from './rotate-text.ts';

interface EmergencyOptions extends OperatorOptions {
  ca: string;
  name?: string;
  reason: string;
}

/** How the answer of the server to a step is told: what it still lacks is no failure here, it is the next thing to do. */
const LACKS: readonly string[] = ['rotation.not-ready'];

/**
 * `keystead rotate emergency`: the way after a CA was compromised. It takes every step that can be taken now and tells the
 * next one that people take; it is called again after each. REQ-KEY-ROT-02, REQ-KEY-REV-01
 */
export function emergencyCommand(): Command {
  return operatorOptions(new Command('emergency'), 'pki')
    .description('after a compromise of a CA: take every step that can be taken, and tell the next; call it again')
    .requiredOption('--ca <ca>', 'for example operational, or operational.2')
    .option('--name <campaign>', 'the name of the campaign; emergency-<ca> unless told')
    .option('--reason <text>', 'why', 'compromise of the CA')
    .addHelpText('after', '\nExample:\n  $ keystead rotate emergency --ca operational')
    .action(async (options: EmergencyOptions) => {
      const id = options.name ?? `emergency-${options.ca}`;
      const { view, next } = await asOperator(options, (client) => goOn(client, id, options));
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify({ ...view, next, seconds: secondsOf(view) })}\n`);
        return;
      }
      const times = Object.entries(secondsOf(view)).map(([what, seconds]) => `${what} after ${seconds} s`);
      process.stdout.write(`${campaignText(view)}\n${times.join(', ')}\nnext: ${next}\n`);
    });
}

async function goOn(client: RestClient, id: string, options: EmergencyOptions) {
  const { ca, reason } = options;
  const path = `/api/v1/campaigns/${encodeURIComponent(id)}`;
  // The plan is the same each time: one that is there stays.
  const plan = {
    ...{ v: 1, id, kind: 'issuing-ca', target: ca, reason, emergency: true },
    ...{ spreadSeconds: 0, transitionSeconds: 0 },
  };
  let view = await client.post<CampaignView>('/api/v1/campaigns', { plan });
  for (const step of ['start', 'advance', 'advance', 'retire']) {
    if (!isDue(view, step)) continue;
    try {
      view = await client.post<CampaignView>(`${path}/${step}`, {});
    } catch (error) {
      if (!(error instanceof KeysteadError) || !LACKS.includes(error.code)) throw error;
      return { view: await client.get<CampaignView>(path), next: `${nextOf(view)} (${error.seen ?? error.code})` };
    }
  }
  return { view, next: nextOf(view) };
}

function isDue({ state }: CampaignView, step: string): boolean {
  if (step === 'start') return state === 'planned';
  if (step === 'advance') return state === 'distributing' || state === 'switched';
  return state === 'retiring';
}

/** What people do now. */
function nextOf({ state, target }: CampaignView): string {
  const ca = target.split('.', 1)[0] ?? target;
  switch (state) {
    case 'planned':
      return `a quorum revokes it: keystead revoke-ca propose ${target} --reason cACompromise, approve, send`;
    case 'distributing':
      return `a new key of the CA: keystead hierarchy request ${ca} --new-key, ceremony intermediate, hierarchy import, start serve again`;
    case 'switched':
      return 'the devices enrol again by their IDevID; call this again to count them';
    case 'retired':
      return 'nothing: the CA is revoked, its successor issues, and the devices are back';
    default:
      return `people decide: the campaign is ${state}`;
  }
}

/** The time from the beginning of the campaign to each of its steps, whole seconds. */
function secondsOf({ times }: CampaignView): Record<string, number> {
  const began = Date.parse(times.planned ?? '');
  return Object.fromEntries(
    Object.entries(times).flatMap(([what, time]) =>
      time === null || what === 'planned' ? [] : [[what, Math.round((Date.parse(time) - began) / 1000)]],
    ),
  );
}
