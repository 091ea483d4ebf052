import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import { CKA, CKK_GENERIC_SECRET, CKM, CKO_SECRET_KEY } from '../cryptoki.ts';
import type { Order } from '../orders.ts';
import { CallRefused, call } from './addon.ts';
import { readAndDestroy, readableSecret } from './agree.ts';
import { attribute } from './objects.ts';
import type { TokenSession } from './session.ts';
import { keyHandle } from './sign.ts';

/** A wrapped key is one block of eight longer than the key (SP 800-38F section 6.2). */
const BLOCK = 8;
const LONGEST_WRAPPED = 80;

/**
 * CKM_AES_KEY_WRAP over a secret, which is on the token for the time of the call. Its bytes are zeroed, whatever comes of
 * it. Not the mechanism with padding: SoftHSM 2.6.1 gives what it unwrapped with zeros at its end, and no transport key needs it.
 */
export function wrap(at: TokenSession, { key, secret }: Order<'wrap'>): Uint8Array {
  const bytes = Buffer.from(secret);
  const value = Buffer.from(bytes);
  bytes.fill(0);
  try {
    const { module, session } = at;
    const wrappingKey = keyHandle(at, key);
    const object = call('C_CreateObject', () =>
      module.C_CreateObject(session, [
        { type: CKA.CLASS, value: CKO_SECRET_KEY },
        { type: CKA.KEY_TYPE, value: CKK_GENERIC_SECRET },
        { type: CKA.TOKEN, value: false },
        { type: CKA.EXTRACTABLE, value: true },
        { type: CKA.VALUE, value },
      ]),
    );
    try {
      const mechanism = { mechanism: CKM.AES_KEY_WRAP };
      return new Uint8Array(
        call('C_WrapKey', () =>
          module.C_WrapKey(session, mechanism, wrappingKey, object, Buffer.alloc(LONGEST_WRAPPED)),
        ),
      );
    } finally {
      call('C_DestroyObject', () => module.C_DestroyObject(session, object));
    }
  } finally {
    value.fill(0);
  }
}

/** The secret inside, in memory of its own, which the caller wipes. @throws CallRefused. */
export function unwrap(at: TokenSession, { key, wrapped }: Order<'unwrap'>): Uint8Array {
  const { module, session } = at;
  const unwrappingKey = keyHandle(at, key);
  const mechanism = { mechanism: CKM.AES_KEY_WRAP };
  let object: Handle;
  try {
    object = call('C_UnwrapKey', () =>
      module.C_UnwrapKey(session, mechanism, unwrappingKey, Buffer.from(wrapped), readableSecret()),
    );
  } catch (error) {
    if (!(error instanceof CallRefused) || !VAGUE.includes(error.refusal.ckr)) throw error;
    // SoftHSM has the same number for a damaged key and a token that is gone. One that still shows its key is there, and
    // bytes from outside must not make it connect again.
    attribute(at, unwrappingKey, CKA.CLASS);
    throw new KeysteadError('wrap.damaged', { field: 'wrapped key' });
  }
  return readAndDestroy(at, object, wrapped.length - BLOCK);
}

const VAGUE: readonly string[] = ['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED'];
