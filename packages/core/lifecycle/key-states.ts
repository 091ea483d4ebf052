/**
 * The states of a key and the ways between them (NIST SP 800-57 pt 1 r5 section 7). The tables here are the
 * only place that decides; the documents are printed from them.
 */
import { KeysteadError } from '../errors/index.ts';

interface StateRules {
  /** Whether the key may protect: sign, encrypt, wrap, agree. */
  readonly protect: boolean;
  /** Whether it may process what was protected before: verify, decrypt, unwrap. */
  readonly process: boolean;
  readonly meaning: string;
}

export const KEY_STATES = {
  'pre-activation': { protect: false, process: false, meaning: 'generated, not yet authorised for use' },
  active: { protect: true, process: true, meaning: 'in use within its cryptoperiod' },
  suspended: { protect: false, process: true, meaning: 'use is stopped for a time; may come back' },
  deactivated: { protect: false, process: true, meaning: 'its cryptoperiod is over or it was replaced' },
  compromised: { protect: false, process: true, meaning: 'known or suspected to be in foreign hands' },
  destroyed: { protect: false, process: false, meaning: 'the key is gone; its record stays' },
} as const satisfies Record<string, StateRules>;
export type KeyState = keyof typeof KEY_STATES;

export type KeyEvent = 'activate' | 'suspend' | 'resume' | 'deactivate' | 'compromise' | 'destroy';

/** Every way from one state to another; what is not here is refused. */
export const KEY_TRANSITIONS: readonly { from: KeyState; event: KeyEvent; to: KeyState; when: string }[] = [
  {
    from: 'pre-activation',
    event: 'activate',
    to: 'active',
    when: 'its activation date comes, or its certificate is issued',
  },
  {
    from: 'pre-activation',
    event: 'compromise',
    to: 'compromised',
    when: 'it may have been seen before its first use',
  },
  { from: 'pre-activation', event: 'destroy', to: 'destroyed', when: 'it will never be needed' },
  { from: 'active', event: 'suspend', to: 'suspended', when: 'its use is in doubt: certificateHold, an inquiry' },
  { from: 'active', event: 'deactivate', to: 'deactivated', when: 'its cryptoperiod ends, or a successor takes over' },
  { from: 'active', event: 'compromise', to: 'compromised', when: 'its secrecy or integrity is suspect' },
  { from: 'active', event: 'destroy', to: 'destroyed', when: 'it was for one use, or its device is decommissioned' },
  { from: 'suspended', event: 'resume', to: 'active', when: 'the reason for the suspension is gone' },
  { from: 'suspended', event: 'deactivate', to: 'deactivated', when: 'its cryptoperiod ends while it is suspended' },
  { from: 'suspended', event: 'compromise', to: 'compromised', when: 'the doubt proved right' },
  { from: 'suspended', event: 'destroy', to: 'destroyed', when: 'it is not needed to process anything' },
  { from: 'deactivated', event: 'compromise', to: 'compromised', when: 'its secrecy is suspect after its use' },
  { from: 'deactivated', event: 'destroy', to: 'destroyed', when: 'nothing that it protects is needed any more' },
  { from: 'compromised', event: 'destroy', to: 'destroyed', when: 'nothing that it protects is needed any more' },
];

/**
 * The state after `event`.
 * @throws KeysteadError `key.transition-forbidden` when the table has no such way.
 */
export function nextKeyState(from: KeyState, event: KeyEvent): KeyState {
  const way = KEY_TRANSITIONS.find((transition) => transition.from === from && transition.event === event);
  if (way === undefined)
    throw new KeysteadError('key.transition-forbidden', { field: 'state', seen: `${event} from ${from}` });
  return way.to;
}

/** The two tables as Markdown. */
export function keyStatesMarkdown(): string {
  const states = Object.entries(KEY_STATES).map(
    ([name, rules]) =>
      `| ${name} | ${rules.meaning} | ${rules.protect ? 'yes' : 'no'} | ${rules.process ? 'yes' : 'no'} |`,
  );
  const ways = KEY_TRANSITIONS.map(({ from, event, to, when }) => `| ${from} | ${event} | ${to} | ${when} |`);
  return [
    '| state | meaning | sign, encrypt | verify, decrypt |',
    '|---|---|:-:|:-:|',
    ...states,
    '',
    '| from | event | to | when |',
    '|---|---|---|---|',
    ...ways,
    '',
  ].join('\n');
}
