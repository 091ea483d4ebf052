import { KeysteadError } from '@keystead/core/errors';
import type { SigningState } from '../store/index.ts';

interface Step {
  readonly from: SigningState;
  readonly event: SigningEvent;
  readonly to: SigningState;
  /** When it happens, for people. */
  readonly when: string;
}

export type SigningEvent = 'propose' | 'approve' | 'sign' | 'refuse' | 'expire' | 'withdraw';

/** A request is a draft at first: an image that was read and scanned, for which nobody has signed yet. */
export const INITIAL: SigningState = 'draft';

/** Every way from one state of a request to another. What does not stand here does not happen. */
export const SIGNING_STEPS: readonly Step[] = [
  { from: 'draft', event: 'propose', to: 'waiting', when: 'a release engineer signs that they ask for it' },
  { from: 'draft', event: 'expire', to: 'expired', when: 'nobody signs for it in 7 days' },
  { from: 'draft', event: 'withdraw', to: 'withdrawn', when: 'a release engineer takes it back' },
  { from: 'waiting', event: 'approve', to: 'approved', when: 'the last approval that the policy asks for is there' },
  { from: 'waiting', event: 'refuse', to: 'refused', when: 'somebody who signed before may no longer' },
  { from: 'waiting', event: 'expire', to: 'expired', when: 'the first of its statements ends' },
  { from: 'waiting', event: 'withdraw', to: 'withdrawn', when: 'who asked for it takes it back' },
  { from: 'approved', event: 'sign', to: 'signed', when: 'keyd has signed, and the result is kept' },
  { from: 'approved', event: 'refuse', to: 'refused', when: 'keyd refuses, or the image was changed' },
];

/** The state after `event`. @throws KeysteadError `signing.request-closed` where the table knows no such step. */
export function stateAfter(id: string, from: SigningState, event: SigningEvent): SigningState {
  const step = SIGNING_STEPS.find((one) => one.from === from && one.event === event);
  if (step === undefined)
    throw new KeysteadError('signing.request-closed', { field: id, seen: `${event}, where it is ${from}` });
  return step.to;
}

/** The table as Markdown, for docs/signing.md. */
export function statesMarkdown(): string {
  const rows = SIGNING_STEPS.map(({ from, event, to, when }) => `| ${from} | ${event} | ${to} | ${when} |`);
  return `| from | event | to | when |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}
