export { FIT } from './format.ts';
