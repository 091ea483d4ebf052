import type { Clock } from '@keystead/core/clock';

/** The machine's clock. Only the program's edge takes it; everything else is handed a Clock. */
export const systemClock: Clock = { now: () => new Date() };
