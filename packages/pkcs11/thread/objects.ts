import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import {
  CKA,
  CKK_AES,
  CKK_GENERIC_SECRET,
  CKK_RSA,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  CKO_SECRET_KEY,
} from '../cryptoki.ts';
import { repetitions } from '../errors.ts';
import type { SeenKey } from '../held-keys.ts';
import type { Attributes, StoredKey } from '../orders.ts';
import type { PublicNumbers } from '../public-key.ts';
import { objectIdOf } from '../record.ts';
import { keySearch, recordSearch, type Template } from '../templates.ts';
import { CallRefused, call } from './addon.ts';
import type { TokenSession } from './session.ts';

/** More objects than a token of Keystead has; a module that never ends its list must not keep the thread. */
const MOST_OBJECTS = 4096;
const AT_ONCE = 64;

/** The attributes of evidence: yes or no, and one mechanism. */
const FLAGS = {
  CKA_TOKEN: CKA.TOKEN,
  CKA_PRIVATE: CKA.PRIVATE,
  CKA_SENSITIVE: CKA.SENSITIVE,
  CKA_ALWAYS_SENSITIVE: CKA.ALWAYS_SENSITIVE,
  CKA_EXTRACTABLE: CKA.EXTRACTABLE,
  CKA_NEVER_EXTRACTABLE: CKA.NEVER_EXTRACTABLE,
  CKA_LOCAL: CKA.LOCAL,
  CKA_MODIFIABLE: CKA.MODIFIABLE,
  CKA_SIGN: CKA.SIGN,
  CKA_DERIVE: CKA.DERIVE,
  CKA_DECRYPT: CKA.DECRYPT,
  CKA_WRAP: CKA.WRAP,
  CKA_UNWRAP: CKA.UNWRAP,
} as const;

/**
 * Handles of all objects that match. A list that was cut off could lack the one that counts.
 * @throws CallRefused. @throws KeysteadError `keystore.token-failed` for more than a token of Keystead has.
 */
export function find(at: TokenSession, template: Template): Handle[] {
  const { module, session } = at;
  call('C_FindObjectsInit', () => module.C_FindObjectsInit(session, template));
  const found: Handle[] = [];
  try {
    for (;;) {
      const some = call('C_FindObjects', () => module.C_FindObjects(session, AT_ONCE));
      if (some.length === 0) break;
      found.push(...some);
      if (found.length > MOST_OBJECTS) {
        throw new KeysteadError('keystore.token-failed', {
          field: 'token',
          seen: `more than ${MOST_OBJECTS} objects in one search`,
          remedy: 'remove what is not of Keystead from the token, with its own tools',
        });
      }
    }
  } catch (error) {
    try {
      call('C_FindObjectsFinal', () => module.C_FindObjectsFinal(session));
    } catch {
      // What went wrong first says whether the token is away.
    }
    throw error;
  }
  call('C_FindObjectsFinal', () => module.C_FindObjectsFinal(session));
  return found;
}

/** The value of one attribute; undefined where the object or the module has none. @throws CallRefused. */
export function attribute(at: TokenSession, object: Handle, type: number): Buffer | undefined {
  const { module, session } = at;
  try {
    const [result] = call('C_GetAttributeValue', () => module.C_GetAttributeValue(session, object, [{ type }]));
    return result?.value;
  } catch (error) {
    if (error instanceof CallRefused && error.refusal.ckr === 'CKR_ATTRIBUTE_TYPE_INVALID') return undefined;
    throw error;
  }
}

/**
 * Those that only who has logged in can have made. CKA_PRIVATE false is what anybody makes who reaches the token without
 * the PIN, whatever label and CKA_ID it has: it is none of ours, and is not seen. A module that does not tell it is believed.
 * @throws CallRefused.
 */
export function findOwn(at: TokenSession, template: Template): Handle[] {
  return find(at, template).filter((handle) => {
    const isPrivate = attribute(at, handle, CKA.PRIVATE);
    return isPrivate === undefined || isPrivate.some((byte) => byte !== 0);
  });
}

/** Destroys what is not ours, or not certainly: who has put it there may have made it so that it cannot be destroyed. */
export function destroyIfAllowed(at: TokenSession, object: Handle): void {
  try {
    call('C_DestroyObject', () => at.module.C_DestroyObject(at.session, object));
  } catch (error) {
    if (!(error instanceof CallRefused) || repetitions(error.refusal) > 0) throw error;
  }
}

/** Every record of Keystead with what stands there of its key. @throws CallRefused. */
export function readAll(at: TokenSession): StoredKey[] {
  return findOwn(at, recordSearch()).map((object) => {
    const label = attribute(at, object, CKA.LABEL) ?? Buffer.alloc(0);
    const record = attribute(at, object, CKA.VALUE) ?? Buffer.alloc(0);
    return readKey(at, label.toString('utf8'), record);
  });
}

/** Which objects there are of each record of Keystead. @throws CallRefused. */
export function seeAll(at: TokenSession): SeenKey[] {
  return findOwn(at, recordSearch()).map((object) => {
    const id = (attribute(at, object, CKA.LABEL) ?? Buffer.alloc(0)).toString('utf8');
    const { keys, publicKeys } = objectsOf(at, id);
    return { id, keys: keys.length, publicKeys: publicKeys.length };
  });
}

/** What stands on the token of the key `id`. @throws CallRefused. */
export function readKey(at: TokenSession, id: string, record: Uint8Array): StoredKey {
  const { keys, publicKeys } = objectsOf(at, id);
  const [key, second] = keys;
  const [publicKey] = publicKeys;
  return {
    label: id,
    record: new Uint8Array(record),
    keys: keys.length,
    publicKeys: publicKeys.length,
    ...(key === undefined || second !== undefined ? {} : { attributes: attributesOf(at, key) }),
    ...(publicKey === undefined || publicKeys.length > 1 ? {} : { numbers: numbersOf(at, publicKey) }),
  };
}

/** What finds the private and the secret keys with the CKA_ID of `id`. */
export const keySearches = (id: string): Template[] =>
  [CKO_PRIVATE_KEY, CKO_SECRET_KEY].map((kind) => keySearch(kind, objectIdOf(id)));

/**
 * Private, secret and public keys with the CKA_ID of `id`. A key that was made private and shows itself public is told as
 * exposed, and so is still looked at where there is no other.
 */
export function objectsOf(at: TokenSession, id: string): { keys: Handle[]; publicKeys: Handle[] } {
  const objectId = objectIdOf(id);
  const own = keySearches(id).flatMap((search) => findOwn(at, search));
  const keys = own.length > 0 ? own : keySearches(id).flatMap((search) => find(at, search));
  return { keys, publicKeys: find(at, keySearch(CKO_PUBLIC_KEY, objectId)) };
}

function attributesOf(at: TokenSession, key: Handle): Attributes {
  const attributes: Record<string, boolean | number> = {};
  for (const [name, type] of Object.entries(FLAGS)) {
    const value = attribute(at, key, type);
    if (value !== undefined && value.length === 1) attributes[name] = value[0] !== 0;
  }
  const mechanism = attribute(at, key, CKA.KEY_GEN_MECHANISM);
  if (mechanism !== undefined && mechanism.length >= 4) attributes.CKA_KEY_GEN_MECHANISM = mechanism.readUInt32LE();
  return attributes;
}

export function numbersOf(at: TokenSession, publicKey: Handle): PublicNumbers | undefined {
  const type = attribute(at, publicKey, CKA.KEY_TYPE)?.readUInt32LE();
  if (type === CKK_AES || type === CKK_GENERIC_SECRET) return undefined;
  const read = (wanted: number): Uint8Array => new Uint8Array(attribute(at, publicKey, wanted) ?? []);
  if (type === CKK_RSA) return { modulus: read(CKA.MODULUS), exponent: read(CKA.PUBLIC_EXPONENT) };
  return { point: read(CKA.EC_POINT) };
}
