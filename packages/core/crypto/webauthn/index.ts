export {
  decodeAssertion,
  encodeAssertion,
  verifyWebauthnAssertion,
  type WebauthnAssertion,
  type WebauthnCredential,
  type WebauthnVerdict,
} from './assertion.ts';
export { type AuthenticatorData, readAuthenticatorData } from './authenticator-data.ts';
export { type CoseKey, readCoseKey, WEBAUTHN_ALGORITHMS } from './cose-key.ts';
export { readAssertionJson } from './json.ts';
export { type RegisteredCredential, readWebauthnRegistration, type WebauthnRegistration } from './registration.ts';
