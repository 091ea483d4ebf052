export { type Pkcs11Configuration, Pkcs11Schema } from './configuration.ts';
export { type CounterReading, NO_MARK } from './counter.ts';
export type {
  SeenKey,
  TokenCounter,
  TokenDerivingKeyInfo,
  TokenKeyInfo,
  TokenWrapper,
  TokenWrappingKeyInfo,
} from './held-keys.ts';
export { Pkcs11Keystore } from './keystore.ts';
export type { FoundKey, PersonKeyName, TokenFacts } from './orders.ts';
export { TokenPool } from './pool.ts';
export { spkiFromToken } from './public-key.ts';
