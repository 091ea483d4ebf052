import { KeysteadError } from '@keystead/core/errors';
import type { AcmeAccountState, AcmeAuthorizationState, AcmeChallengeState, AcmeOrderState } from '../store/index.ts';

interface Step<S extends string, E extends string> {
  readonly from: S;
  readonly event: E;
  readonly to: S;
  /** When it happens, for people. */
  readonly when: string;
}

/** The states of one kind of resource, and every way from one to another. What does not stand here does not happen. */
export interface StateTable<S extends string, E extends string> {
  readonly name: string;
  readonly initial: S;
  readonly steps: readonly Step<S, E>[];
}

/** RFC 8555 section 7.1.6. */
export const ACCOUNT_STATES: StateTable<AcmeAccountState, 'deactivate' | 'revoke'> = {
  name: 'account',
  initial: 'valid',
  steps: [
    { from: 'valid', event: 'deactivate', to: 'deactivated', when: 'its holder deactivates it' },
    { from: 'valid', event: 'revoke', to: 'revoked', when: 'an operator deactivates it' },
  ],
};

export const ORDER_STATES: StateTable<AcmeOrderState, 'authorize' | 'fail' | 'finalize' | 'issue' | 'refuse'> = {
  name: 'order',
  initial: 'pending',
  steps: [
    { from: 'pending', event: 'authorize', to: 'ready', when: 'the last of its authorizations becomes valid' },
    { from: 'pending', event: 'fail', to: 'invalid', when: 'an authorization becomes invalid or is deactivated' },
    { from: 'ready', event: 'fail', to: 'invalid', when: 'an authorization is deactivated' },
    { from: 'ready', event: 'finalize', to: 'processing', when: 'its certification request is accepted' },
    { from: 'processing', event: 'issue', to: 'valid', when: 'its certificate is recorded' },
    { from: 'processing', event: 'refuse', to: 'invalid', when: 'keyd, or an operator, refuses the request' },
  ],
};

/** `expired` comes by itself: nothing is written down for it. */
export const AUTHORIZATION_STATES: StateTable<AcmeAuthorizationState, 'prove' | 'fail' | 'deactivate'> = {
  name: 'authorization',
  initial: 'pending',
  steps: [
    { from: 'pending', event: 'prove', to: 'valid', when: 'one of its challenges becomes valid' },
    { from: 'pending', event: 'fail', to: 'invalid', when: 'one of its challenges becomes invalid' },
    { from: 'pending', event: 'deactivate', to: 'deactivated', when: 'its account gives it up' },
    { from: 'valid', event: 'deactivate', to: 'deactivated', when: 'its account gives it up' },
  ],
};

export const CHALLENGE_STATES: StateTable<AcmeChallengeState, 'answer' | 'prove' | 'fail'> = {
  name: 'challenge',
  initial: 'pending',
  steps: [
    { from: 'pending', event: 'answer', to: 'processing', when: 'its account says that it is ready' },
    { from: 'processing', event: 'prove', to: 'valid', when: 'a try finds the right answer' },
    { from: 'processing', event: 'fail', to: 'invalid', when: 'the last try does not' },
  ],
};

export const STATE_TABLES: readonly StateTable<string, string>[] = [
  ACCOUNT_STATES,
  ORDER_STATES,
  AUTHORIZATION_STATES,
  CHALLENGE_STATES,
];

/** The state after `event`. @throws KeysteadError `acme.state` where the table knows no such step. */
export function stateAfter<S extends string, E extends string>(table: StateTable<S, E>, from: S, event: E): S {
  const step = table.steps.find((one) => one.from === from && one.event === event);
  if (step === undefined) throw new KeysteadError('acme.state', { field: table.name, seen: `${event} of ${from}` });
  return step.to;
}

/** The tables as Markdown, for docs/acme.md. */
export function statesMarkdown(): string {
  return STATE_TABLES.map(({ name, initial, steps }) => {
    const rows = steps.map(({ from, event, to, when }) => `| ${from} | ${event} | ${to} | ${when} |`);
    return `**${name}**, at first ${initial}\n\n| from | event | to | when |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  }).join('\n');
}
