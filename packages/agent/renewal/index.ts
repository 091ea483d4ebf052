export { issuerRevoked } from './issuer-revoked.ts';
export { type RenewalEvent, RenewalLoop, type RenewalOptions } from './loop.ts';
export { type RenewalNeed, type RenewalWindow, renewalNeed, renewalTime } from './schedule.ts';
export { nodeTimers, type Timers } from './timers.ts';
