export { MCUBOOT } from './format.ts';
