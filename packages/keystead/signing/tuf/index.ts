export { checkRepository, type Finding } from './check.ts';
export { type OnlineRoles, ownOnlineKey, type StatusAsked } from './online-roles.ts';
export { beginRepository, type Publication, publish, type Versions } from './publish.ts';
export { Renewal, type RenewalState } from './renewal.ts';
export { TufRepository } from './repository.ts';
export { keepFresh, type Watch } from './watch.ts';
