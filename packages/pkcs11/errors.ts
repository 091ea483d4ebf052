import { type ErrorCode, KeysteadError } from '@keystead/core/errors';

/** A call of the token that did not return CKR_OK. */
export interface Refusal {
  /** CKR_*, or `CKR_VENDOR_DEFINED` and its number. */
  readonly ckr: string;
  /** C_*. */
  readonly call: string;
}

/** The one table from what a token returns to what Keystead says (PKCS#11 v2.40 section 5.1). The rest: `keystore.token-failed`. */
const CODE_OF: Readonly<Record<string, ErrorCode>> = {
  CKR_PIN_INCORRECT: 'keystore.pin-incorrect',
  CKR_PIN_INVALID: 'keystore.pin-incorrect',
  CKR_PIN_LEN_RANGE: 'keystore.pin-incorrect',
  CKR_PIN_LOCKED: 'keystore.pin-locked',
  CKR_PIN_EXPIRED: 'keystore.pin-unset',
  CKR_USER_PIN_NOT_INITIALIZED: 'keystore.pin-unset',
  CKR_DEVICE_MEMORY: 'keystore.token-full',
  CKR_DEVICE_REMOVED: 'keystore.token-absent',
  CKR_TOKEN_NOT_PRESENT: 'keystore.token-absent',
  CKR_TOKEN_NOT_RECOGNIZED: 'keystore.token-absent',
  CKR_SLOT_ID_INVALID: 'keystore.token-absent',
  CKR_TOKEN_WRITE_PROTECTED: 'keystore.token-write-protected',
  CKR_SESSION_READ_ONLY: 'keystore.token-write-protected',
  CKR_MECHANISM_INVALID: 'keystore.mechanism-unsupported',
  CKR_MECHANISM_PARAM_INVALID: 'keystore.mechanism-unsupported',
  CKR_KEY_SIZE_RANGE: 'keystore.mechanism-unsupported',
  CKR_CURVE_NOT_SUPPORTED: 'keystore.mechanism-unsupported',
  CKR_DOMAIN_PARAMS_INVALID: 'keystore.mechanism-unsupported',
  CKR_FUNCTION_NOT_SUPPORTED: 'keystore.mechanism-unsupported',
  CKR_TEMPLATE_INCOMPLETE: 'keystore.template-refused',
  CKR_TEMPLATE_INCONSISTENT: 'keystore.template-refused',
  CKR_ATTRIBUTE_READ_ONLY: 'keystore.template-refused',
  CKR_ATTRIBUTE_TYPE_INVALID: 'keystore.template-refused',
  CKR_ATTRIBUTE_VALUE_INVALID: 'keystore.template-refused',
  CKR_WRAPPED_KEY_INVALID: 'wrap.damaged',
  CKR_WRAPPED_KEY_LEN_RANGE: 'wrap.damaged',
  CKR_ENCRYPTED_DATA_INVALID: 'wrap.damaged',
  CKR_ENCRYPTED_DATA_LEN_RANGE: 'wrap.damaged',
};

/** Session, login or initialisation is gone, and nothing was done: it is safe to connect again and repeat. */
const LOST: ReadonlySet<string> = new Set([
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_SESSION_CLOSED',
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  'CKR_DEVICE_REMOVED',
  'CKR_TOKEN_NOT_PRESENT',
  'CKR_TOKEN_NOT_RECOGNIZED',
  'CKR_SLOT_ID_INVALID',
]);

/** What modules return for a token or a session that is gone, and for much else: one repetition is worth it, no more. */
const PERHAPS_LOST: ReadonlySet<string> = new Set([
  // An operation that another call has left behind, or has ended: a session of its own has none.
  'CKR_OPERATION_ACTIVE',
  'CKR_OPERATION_NOT_INITIALIZED',
  'CKR_DEVICE_ERROR',
  'CKR_GENERAL_ERROR',
  'CKR_FUNCTION_FAILED',
  'CKR_OBJECT_HANDLE_INVALID',
  'CKR_KEY_HANDLE_INVALID',
  'CKR_WRAPPING_KEY_HANDLE_INVALID',
  'CKR_UNWRAPPING_KEY_HANDLE_INVALID',
]);

/** How often a request is repeated on a new connection after this. */
export function repetitions({ ckr }: Refusal): number {
  if (LOST.has(ckr)) return 2;
  return PERHAPS_LOST.has(ckr) ? 1 : 0;
}

/** What to do where the code's own advice is too general. */
const REMEDY_OF: Readonly<Record<string, string>> = {
  // After the login was repeated.
  CKR_USER_NOT_LOGGED_IN: 'take a key that is usable after one login, and not one of CKA_ALWAYS_AUTHENTICATE',
  CKR_SESSION_COUNT: 'lower `sessions` in keystore.json, or end other programs that have sessions with the token',
};

/** @param more what the token's flags tell beside it. */
export function refusalError({ ckr, call }: Refusal, field: string, more?: string): KeysteadError {
  const seen = `${ckr} of ${call}${more === undefined ? '' : `; ${more}`}`;
  return new KeysteadError(CODE_OF[ckr] ?? 'keystore.token-failed', { field, seen, remedy: REMEDY_OF[ckr] });
}

/** Whether an error says that the token must not be asked again with this PIN. */
export const isRefusedLogin = (error: KeysteadError): boolean =>
  ['keystore.pin-incorrect', 'keystore.pin-locked', 'keystore.pin-unset', 'keystore.pin-final-try'].includes(
    error.code,
  );

/** What a service tells its clients of a connection that failed: it is the token that is missing, not their right. */
export function connectionError(error: unknown): KeysteadError {
  if (!(error instanceof KeysteadError)) {
    const seen = error instanceof Error ? error.message : 'an error';
    return new KeysteadError('keystore.token-failed', { field: 'token', seen, cause: error });
  }
  if (isRefusedLogin(error)) {
    return new KeysteadError('keystore.login-lost', { field: 'PIN', seen: `${error.code}: ${error.seen}` });
  }
  if (error.code !== 'keystore.module-unusable') return error;
  // The module ran before: what it misses now is its token.
  return new KeysteadError('keystore.token-absent', { field: 'token', seen: error.seen });
}
