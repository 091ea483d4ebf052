export { checkPublicKey } from './check.ts';
