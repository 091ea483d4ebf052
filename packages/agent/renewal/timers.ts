/** How the loop waits; injected, so that tests run ten lifetimes in milliseconds. */
export interface Timers {
  /** Calls `act` once after `ms`; returns what cancels it. */
  after(ms: number, act: () => void): () => void;
}

/** setTimeout holds at most this many milliseconds; a longer wait would fire at once. */
const LONGEST = 2 ** 31 - 1;

/** The runtime's own timers. A wait that is too long for them ends early; the loop then looks again. */
export const nodeTimers: Timers = {
  after(ms, act) {
    const timer = setTimeout(act, Math.min(Math.max(0, ms), LONGEST));
    return () => clearTimeout(timer);
  },
};
