export { checkPublicKey } from './check.ts';
export { checkModuli, type KnownGroup, MOST_PARTNERS, type SharedPair } from './moduli-check.ts';
export { rsaModulus } from './rsa-modulus.ts';
