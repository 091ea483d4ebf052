/** How the publisher waits; injected, so that tests need no sleep. */
export interface Timers {
  /** Calls `act` once after `ms`; returns what cancels it. */
  after(ms: number, act: () => void): () => void;
}

/** The runtime's own timers. They do not keep the process alive: what they would do is done at the next start. */
export const nodeTimers: Timers = {
  after(ms, act) {
    const timer = setTimeout(act, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Timers that somebody waits for: they keep the process alive. */
export const waitingTimers: Timers = {
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};
