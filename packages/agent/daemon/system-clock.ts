import type { Clock } from '@keystead/core/clock';

/** The machine's clock, which the daemon alone takes; everything else is handed a Clock. */
export const systemClock: Clock = { now: () => new Date() };
