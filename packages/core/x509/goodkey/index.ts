export { checkPublicKey } from './check.ts';
export { checkModuli, type KnownGroup, MOST_PARTNERS, type SharedPair } from './moduli-check.ts';
export { rsaModulus } from './rsa-modulus.ts';
export { countWeakKeys, isWeakModulus, NO_WEAK_KEYS, readWeakKeys, type WeakKeys } from './weak-list.ts';
