import { type ErrorCode, KeysteadError } from '@keystead/core/errors';

/** Format-zero codes, bits 0 to 6 above 0x100 (TPM_RC_VER1, Part 2 section 6.6.3). */
const VER1: Readonly<Record<number, string>> = {
  0: 'INITIALIZE',
  1: 'FAILURE',
  3: 'SEQUENCE',
  11: 'PRIVATE',
  25: 'HMAC',
  32: 'DISABLED',
  33: 'EXCLUSIVE',
  36: 'AUTH_TYPE',
  37: 'AUTH_MISSING',
  38: 'POLICY',
  39: 'PCR',
  40: 'PCR_CHANGED',
  45: 'UPGRADE',
  46: 'TOO_MANY_CONTEXTS',
  47: 'AUTH_UNAVAILABLE',
  48: 'REBOOT',
  49: 'UNBALANCED',
  66: 'COMMAND_SIZE',
  67: 'COMMAND_CODE',
  68: 'AUTHSIZE',
  69: 'AUTH_CONTEXT',
  70: 'NV_RANGE',
  71: 'NV_SIZE',
  72: 'NV_LOCKED',
  73: 'NV_AUTHORIZATION',
  74: 'NV_UNINITIALIZED',
  75: 'NV_SPACE',
  76: 'NV_DEFINED',
  80: 'BAD_CONTEXT',
  81: 'CPHASH',
  82: 'PARENT',
  83: 'NEEDS_TEST',
  84: 'NO_RESULT',
  85: 'SENSITIVE',
};

/** Format-one codes, bits 0 to 5 (TPM_RC_FMT1): something is wrong with a parameter, handle or session. */
const FMT1: Readonly<Record<number, string>> = {
  1: 'ASYMMETRIC',
  2: 'ATTRIBUTES',
  3: 'HASH',
  4: 'VALUE',
  5: 'HIERARCHY',
  7: 'KEY_SIZE',
  8: 'MGF',
  9: 'MODE',
  10: 'TYPE',
  11: 'HANDLE',
  12: 'KDF',
  13: 'RANGE',
  14: 'AUTH_FAIL',
  15: 'NONCE',
  16: 'PP',
  18: 'SCHEME',
  21: 'SIZE',
  22: 'SYMMETRIC',
  23: 'TAG',
  24: 'SELECTOR',
  26: 'INSUFFICIENT',
  27: 'SIGNATURE',
  28: 'KEY',
  29: 'POLICY_FAIL',
  31: 'INTEGRITY',
  32: 'TICKET',
  33: 'RESERVED_BITS',
  34: 'BAD_AUTH',
  35: 'EXPIRED',
  36: 'POLICY_CC',
  37: 'BINDING',
  38: 'CURVE',
  39: 'ECC_POINT',
};

/** Warnings, bits 0 to 6 above 0x900 (TPM_RC_WARN). */
const WARN: Readonly<Record<number, string>> = {
  1: 'CONTEXT_GAP',
  2: 'OBJECT_MEMORY',
  3: 'SESSION_MEMORY',
  4: 'MEMORY',
  5: 'SESSION_HANDLES',
  6: 'OBJECT_HANDLES',
  7: 'LOCALITY',
  8: 'YIELDED',
  9: 'CANCELED',
  10: 'TESTING',
  32: 'NV_RATE',
  33: 'LOCKOUT',
  34: 'RETRY',
  35: 'NV_UNAVAILABLE',
};

/** Which Keystead error a code is; every other one is `tpm2.refused`. */
const KEYSTEAD: Readonly<Record<string, ErrorCode>> = {
  FAILURE: 'tpm2.failure-mode',
  LOCKOUT: 'tpm2.lockout',
  AUTH_FAIL: 'tpm2.auth-failed',
  BAD_AUTH: 'tpm2.auth-failed',
  OBJECT_MEMORY: 'tpm2.full',
  SESSION_MEMORY: 'tpm2.full',
  MEMORY: 'tpm2.full',
  SESSION_HANDLES: 'tpm2.full',
  OBJECT_HANDLES: 'tpm2.full',
  TOO_MANY_CONTEXTS: 'tpm2.full',
  NV_SPACE: 'tpm2.full',
  COMMAND_CODE: 'tpm2.unsupported',
  CURVE: 'tpm2.unsupported',
  ASYMMETRIC: 'tpm2.unsupported',
  HASH: 'tpm2.unsupported',
  SYMMETRIC: 'tpm2.unsupported',
  INITIALIZE: 'tpm2.unavailable',
  UPGRADE: 'tpm2.unavailable',
  REBOOT: 'tpm2.unavailable',
  YIELDED: 'tpm2.unavailable',
  CANCELED: 'tpm2.unavailable',
  TESTING: 'tpm2.unavailable',
  RETRY: 'tpm2.unavailable',
  NV_RATE: 'tpm2.unavailable',
  NV_UNAVAILABLE: 'tpm2.unavailable',
};

/** The TPM asks for the same command again, a little later. */
const AGAIN: readonly string[] = ['YIELDED', 'TESTING', 'NV_RATE', 'RETRY'];

/** A response code taken apart. */
export interface DecodedCode {
  /** Name without `TPM_RC_`; undefined for a code that is not in the tables. */
  readonly name: string | undefined;
  /** The part of the command that it is about, such as `parameter 2`. */
  readonly part: string | undefined;
  readonly hex: string;
}

/** Takes a TPM_RC apart (Part 1 section 39.2, Part 2 section 6.6.2). */
export function decodeResponseCode(code: number): DecodedCode {
  const hex = `0x${code.toString(16).padStart(3, '0')}`;
  if (code > 0xfff) return { name: undefined, part: undefined, hex };
  if ((code & 0x80) !== 0) return { name: FMT1[code & 0x3f], part: partOf(code), hex };
  // Without bit 8 it is a code of TPM 1.2; with bit 10 the vendor's own.
  if ((code & 0x100) === 0 || (code & 0x400) !== 0) return { name: undefined, part: undefined, hex };
  const number = code & 0x7f;
  if ((code & 0x800) === 0) return { name: VER1[number], part: undefined, hex };
  if (number >= 0x10 && number <= 0x16) return { name: 'REFERENCE_H', part: `handle ${number - 0x0f}`, hex };
  if (number >= 0x18 && number <= 0x1e) return { name: 'REFERENCE_S', part: `session ${number - 0x17}`, hex };
  return { name: WARN[number], part: undefined, hex };
}

/** Bit 6 says parameter; else bit 11 says session and its absence handle. */
function partOf(code: number): string | undefined {
  const number = (code >> 8) & 0xf;
  if ((code & 0x40) !== 0) return number === 0 ? undefined : `parameter ${number}`;
  const kind = number >= 8 ? 'session' : 'handle';
  return (number & 7) === 0 ? undefined : `${kind} ${number & 7}`;
}

/** A command that the TPM did not do. */
export class TpmRefusal extends KeysteadError {
  /** The TPM_RC as it came. */
  readonly responseCode: number;
  /** Its name without `TPM_RC_`. */
  readonly reason: string | undefined;

  constructor(command: string, code: number, detail?: string) {
    const { name, part, hex } = decodeResponseCode(code);
    const known = name === undefined ? `an unknown response code ${hex}` : `TPM_RC_${name} ${hex}`;
    const seen = [part === undefined ? known : `${known} at ${part}`, detail].filter((text) => text !== undefined);
    super(KEYSTEAD[name ?? ''] ?? 'tpm2.refused', { field: `TPM2_${command}`, seen: seen.join('; ') });
    this.responseCode = code;
    this.reason = name;
  }
}

/** Whether the TPM asks for the same command again. */
export function asksAgain(code: number): boolean {
  return AGAIN.includes(decodeResponseCode(code).name ?? '');
}
