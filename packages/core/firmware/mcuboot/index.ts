export { MCUBOOT } from './format.ts';
export { type VerifiedMCUboot, verifyMCUboot } from './verify.ts';
