import { KeysteadError } from '@keystead/core/errors';
import type { CampaignRow, CampaignState } from '../store/index.ts';

export const CAMPAIGN_EVENTS = [
  'start',
  'switch',
  'open-ring',
  'settle',
  'retire',
  'pause',
  'resume',
  'roll-back',
  'abort',
] as const;
export type CampaignEvent = (typeof CAMPAIGN_EVENTS)[number];

interface Step {
  readonly from: CampaignState;
  readonly event: CampaignEvent;
  readonly to: CampaignState;
  /** Of a campaign that is paused: where it was. */
  readonly was?: CampaignState;
  /** When it happens, for people. */
  readonly when: string;
}

interface Meaning {
  readonly means: string;
  /** The state of the old key, and of the one after it, by SP 800-57 part 1 r5 section 7. */
  readonly old: string;
  readonly next: string;
}

/** A campaign is a plan at first: nothing has changed yet. */
export const INITIAL: CampaignState = 'planned';

export const CAMPAIGN_STATES: Readonly<Record<CampaignState, Meaning>> = {
  planned: {
    means: 'the plan stands, with its rings and its dry run; nothing has changed',
    old: 'active',
    next: 'not there, or pre-activation',
  },
  distributing: {
    means: 'the new one is made and made known; the old one is used',
    old: 'active',
    next: 'pre-activation',
  },
  switched: {
    means: 'the new one is used and both are trusted; ring after ring moves to it',
    old: 'active, or deactivated where it signs nothing new',
    next: 'active',
  },
  retiring: {
    means: 'every ring has moved; both are trusted until the old one may end',
    old: 'deactivated: it only verifies',
    next: 'active',
  },
  retired: { means: 'the old one is out of use for good', old: 'deactivated or destroyed', next: 'active' },
  paused: {
    means: 'people look first: no ring opens, no device is asked to move, nothing is taken back',
    old: 'as before',
    next: 'as before',
  },
  'rolled-back': { means: 'the old one goes on, as if there had been no campaign', old: 'active', next: 'not used' },
  aborted: { means: 'it never began', old: 'active', next: 'not used' },
};

/** Every way from one state of a campaign to another. What does not stand here does not happen. */
export const CAMPAIGN_STEPS: readonly Step[] = [
  { from: 'planned', event: 'start', to: 'distributing', when: 'people start it, and it cuts nobody off' },
  { from: 'planned', event: 'abort', to: 'aborted', when: 'people give it up' },
  { from: 'distributing', event: 'switch', to: 'switched', when: 'the new one is in use, and devices know it' },
  { from: 'distributing', event: 'pause', to: 'paused', when: 'people stop it' },
  { from: 'distributing', event: 'roll-back', to: 'rolled-back', when: 'people take it back' },
  { from: 'switched', event: 'open-ring', to: 'switched', when: 'the ring before has moved, within its limits' },
  { from: 'switched', event: 'settle', to: 'retiring', when: 'the last ring has moved, within its limits' },
  { from: 'switched', event: 'pause', to: 'paused', when: 'people stop it, or more devices fail than the plan allows' },
  { from: 'switched', event: 'roll-back', to: 'rolled-back', when: 'people take it back, where the kind can be' },
  { from: 'retiring', event: 'retire', to: 'retired', when: 'the plan and the policy let the old one end' },
  { from: 'retiring', event: 'pause', to: 'paused', when: 'people stop it' },
  {
    from: 'retiring',
    event: 'roll-back',
    to: 'rolled-back',
    when: 'people take it back, where the kind can be and the old one is taken still',
  },
  { from: 'paused', was: 'distributing', event: 'resume', to: 'distributing', when: 'people let it go on' },
  { from: 'paused', was: 'switched', event: 'resume', to: 'switched', when: 'people let it go on' },
  { from: 'paused', was: 'retiring', event: 'resume', to: 'retiring', when: 'people let it go on' },
  { from: 'paused', was: 'distributing', event: 'roll-back', to: 'rolled-back', when: 'people take it back' },
  {
    from: 'paused',
    was: 'switched',
    event: 'roll-back',
    to: 'rolled-back',
    when: 'people take it back, where the kind can be',
  },
  {
    from: 'paused',
    was: 'retiring',
    event: 'roll-back',
    to: 'rolled-back',
    when: 'people take it back, where the kind can be and the old one is taken still',
  },
];

type Standing = Pick<CampaignRow, 'state' | 'was'>;

/** Whether a campaign that stands so can take a step, as far as its state goes. */
export const canStep = (at: Standing, event: CampaignEvent): boolean => stepOf(at, event) !== undefined;

/**
 * Where a campaign stands after `event`.
 * @throws KeysteadError `rotation.step` where the table knows no such step.
 */
export function stateAfter(id: string, at: Standing, event: CampaignEvent): Standing {
  const step = stepOf(at, event);
  if (step === undefined) {
    const seen = `${event}, where it is ${at.was === null ? at.state : `${at.state} (${at.was})`}`;
    throw new KeysteadError('rotation.step', { field: id, seen });
  }
  return { state: step.to, was: event === 'pause' ? at.state : null };
}

const stepOf = ({ state, was }: Standing, event: CampaignEvent): Step | undefined =>
  CAMPAIGN_STEPS.find((one) => one.from === state && one.event === event && (one.was ?? null) === was);

/** The states as Markdown, for docs/rotation.md. */
export function statesMarkdown(): string {
  const rows = Object.entries(CAMPAIGN_STATES).map(
    ([state, { means, old, next }]) => `| ${state} | ${means} | ${old} | ${next} |`,
  );
  return `| state | means | the old key | the new key |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

/** The steps as Markdown, for docs/rotation.md. */
export function stepsMarkdown(): string {
  const rows = CAMPAIGN_STEPS.map(({ from, was, event, to, when }) => {
    const at = was === undefined ? from : `${from}, from ${was}`;
    return `| ${at} | ${event} | ${to} | ${when} |`;
  });
  return `| from | event | to | when |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}
