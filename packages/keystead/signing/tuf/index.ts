export { checkRepository, type Finding } from './check.ts';
export { beginRepository, type Publication, publish, type Versions } from './publish.ts';
export { TufRepository } from './repository.ts';
