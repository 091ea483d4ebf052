import { KeysteadError } from '../errors/index.ts';
import { type KeyEvent, type KeyState, nextKeyState } from './key-states.ts';

/** One thing that happened to a key; `generate` is the first, and only the first. `at`: milliseconds since 1970. */
export interface KeyStep {
  readonly event: 'generate' | KeyEvent;
  readonly at: number;
}

/** When a key came into its states, milliseconds since 1970; null where it never did. */
export interface KeyDates {
  readonly generatedAt: number;
  readonly activatedAt: number | null;
  /** Since when it is suspended; null again once it was resumed. */
  readonly suspendedAt: number | null;
  readonly deactivatedAt: number | null;
  readonly compromisedAt: number | null;
  readonly destroyedAt: number | null;
}

/** Where a key stands after its steps, and when it came there. */
export interface KeyStanding {
  readonly state: KeyState;
  readonly dates: KeyDates;
}

/** The standing of a key that was generated at `at`. */
export const generatedKey = (at: number): KeyStanding => ({
  state: 'pre-activation',
  dates: {
    generatedAt: at,
    activatedAt: null,
    suspendedAt: null,
    deactivatedAt: null,
    compromisedAt: null,
    destroyedAt: null,
  },
});

/**
 * The standing after one more step.
 * @throws KeysteadError `key.transition-forbidden` where the table has no such way; `key.history-disordered` for a
 *   time before that of the step before.
 */
export function stepKey({ state, dates }: KeyStanding, { event, at }: KeyStep): KeyStanding {
  if (event === 'generate')
    throw new KeysteadError('key.history-disordered', { field: 'event', seen: 'generated twice' });
  const to = nextKeyState(state, event);
  const last = latestDate(dates);
  if (!(at >= last)) {
    const seen = `${event} at ${Number.isFinite(at) ? new Date(at).toISOString() : 'no time'}, after ${new Date(last).toISOString()}`;
    throw new KeysteadError('key.history-disordered', { field: 'at', seen });
  }
  switch (event) {
    case 'activate':
      return { state: to, dates: { ...dates, activatedAt: at } };
    case 'suspend':
      return { state: to, dates: { ...dates, suspendedAt: at } };
    case 'resume':
      return { state: to, dates: { ...dates, suspendedAt: null } };
    case 'deactivate':
      return { state: to, dates: { ...dates, deactivatedAt: at } };
    case 'compromise':
      return { state: to, dates: { ...dates, compromisedAt: at } };
    case 'destroy':
      return { state: to, dates: { ...dates, destroyedAt: at } };
  }
}

/**
 * The standing that a whole history leads to: the same steps always give the same state and dates.
 * @throws KeysteadError as {@link stepKey}; `key.history-disordered` for a history that does not begin with `generate`.
 */
export function replayKey(steps: readonly KeyStep[]): KeyStanding {
  const [first, ...rest] = steps;
  if (first?.event !== 'generate') {
    throw new KeysteadError('key.history-disordered', { field: 'event', seen: first?.event ?? 'no step at all' });
  }
  return rest.reduce(stepKey, generatedKey(first.at));
}

/** The latest of the dates. A resumption leaves none, so the one before it counts. */
export const latestDate = (dates: KeyDates): number =>
  Math.max(...Object.values(dates).map((date) => date ?? Number.NEGATIVE_INFINITY));
