import type { ClassicalKeyAlgorithm } from '@keystead/core/crypto';
import { CKA, CKK_EC, CKK_EC_EDWARDS, CKK_RSA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY } from '../cryptoki.ts';
import type { FoundKey, Order } from '../orders.ts';
import { CURVE_OID, EDWARDS_NAME, keySearch } from '../templates.ts';
import { attribute, find, numbersOf } from './objects.ts';
import type { TokenSession } from './session.ts';

const RSA_SIZES: Readonly<Record<number, ClassicalKeyAlgorithm>> = { 3072: 'RSA-3072', 4096: 'RSA-4096' };

/** The private keys of a name, whoever made them, each with its public half where the token has that. @throws CallRefused. */
export function findKeys(at: TokenSession, { label, objectId }: Order<'findKeys'>): FoundKey[] {
  const handles = find(at, [
    { type: CKA.CLASS, value: CKO_PRIVATE_KEY },
    { type: CKA.TOKEN, value: true },
    ...(label === undefined ? [] : [{ type: CKA.LABEL, value: label }]),
    ...(objectId === undefined ? [] : [{ type: CKA.ID, value: Buffer.from(objectId) }]),
  ]);
  return handles.map((handle) => {
    const id = new Uint8Array(attribute(at, handle, CKA.ID) ?? []);
    const publicKeys = id.length === 0 ? [] : find(at, keySearch(CKO_PUBLIC_KEY, id));
    const [publicKey] = publicKeys;
    if (publicKey === undefined || publicKeys.length > 1) return { objectId: id };
    const numbers = numbersOf(at, publicKey);
    const type = attribute(at, publicKey, CKA.KEY_TYPE)?.readUInt32LE();
    const params = attribute(at, publicKey, CKA.EC_PARAMS);
    const modulus = attribute(at, publicKey, CKA.MODULUS);
    return { objectId: id, algorithm: algorithmOf(type, params, modulus), numbers };
  });
}

function algorithmOf(
  type: number | undefined,
  params: Buffer | undefined,
  modulus: Buffer | undefined,
): ClassicalKeyAlgorithm | undefined {
  if (type === CKK_RSA) return RSA_SIZES[(modulus?.length ?? 0) * 8];
  if (params === undefined) return undefined;
  if (type === CKK_EC) return (['P-256', 'P-384'] as const).find((curve) => CURVE_OID[curve].equals(params));
  const isEdwards = type === CKK_EC_EDWARDS && (CURVE_OID.Ed25519.equals(params) || EDWARDS_NAME.equals(params));
  return isEdwards ? 'Ed25519' : undefined;
}
