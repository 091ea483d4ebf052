import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import { CKA, CKD_NULL, CKK_GENERIC_SECRET, CKM, CKO_SECRET_KEY } from '../cryptoki.ts';
import type { Order } from '../orders.ts';
import type { Template } from '../templates.ts';
import { call } from './addon.ts';
import { attribute } from './objects.ts';
import type { TokenSession } from './session.ts';
import { keyHandle } from './sign.ts';

/** CK_ECDH1_DERIVE_PARAMS in the addon's own count of parameter types. */
const CK_PARAMS_EC_DH = 6;

/** Z of a key on the token and a peer's point. @throws CallRefused. */
export function agree(at: TokenSession, { key, point }: Order<'agree'>): Uint8Array {
  return deriveSecret(at, keyHandle(at, key), point, key.algorithm === 'P-256' ? 32 : 48);
}

/**
 * CKM_ECDH1_DERIVE without a derivation: Z as an object of this session that may be read, which it is, and destroyed. A
 * token that gives out no Z (some do not in FIPS mode) refuses the template. The caller wipes the result.
 * @param point 0x04 ‖ x ‖ y, validated.
 */
export function deriveSecret(at: TokenSession, key: Handle, point: Uint8Array, bytes: number): Uint8Array {
  const { module, session, config } = at;
  const raw = Buffer.from(point);
  const publicData = config.quirks.ecdhPoint === 'der' ? Buffer.concat([Uint8Array.of(0x04, raw.length), raw]) : raw;
  const parameter = { type: CK_PARAMS_EC_DH, kdf: CKD_NULL, publicData };
  const derived = call('C_DeriveKey', () =>
    module.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, key, readableSecret(bytes)),
  );
  return readAndDestroy(at, derived, bytes);
}

/** A secret that lives as long as this session and is read out at once. */
export const readableSecret = (bytes?: number): Template => [
  { type: CKA.CLASS, value: CKO_SECRET_KEY },
  { type: CKA.KEY_TYPE, value: CKK_GENERIC_SECRET },
  { type: CKA.TOKEN, value: false },
  { type: CKA.SENSITIVE, value: false },
  { type: CKA.EXTRACTABLE, value: true },
  ...(bytes === undefined ? [] : [{ type: CKA.VALUE_LEN, value: bytes }]),
];

/**
 * The value of a secret object, in memory of its own; the object is gone afterwards.
 * @param bytes as many as it must have: what is short of that, or nothing, would pass for a secret.
 * @throws CallRefused. @throws KeysteadError `keystore.token-failed`.
 */
export function readAndDestroy(at: TokenSession, object: Handle, bytes: number): Uint8Array {
  const { module, session } = at;
  try {
    const value = attribute(at, object, CKA.VALUE) ?? Buffer.alloc(0);
    if (value.length !== bytes) {
      value.fill(0);
      const seen = `${value.length} bytes, where it has ${bytes}`;
      throw new KeysteadError('keystore.token-failed', { field: 'CKA_VALUE of a secret', seen });
    }
    const own = new Uint8Array(new ArrayBuffer(value.length));
    own.set(value);
    value.fill(0);
    return own;
  } finally {
    call('C_DestroyObject', () => module.C_DestroyObject(session, object));
  }
}
