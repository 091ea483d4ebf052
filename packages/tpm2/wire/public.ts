import { createPublicKey, hash, type JsonWebKey, type KeyObject } from 'node:crypto';
import { type DerSpki, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  ALG,
  ATTRIBUTE,
  type Attribute,
  CURVE,
  type Curve,
  FIELD_BYTES,
  hashAlg,
  hashOf,
  type TpmHash,
} from './constants.ts';
import { malformed, WireReader } from './reader.ts';
import { join, sized, u16, u32 } from './writer.ts';

/** What every object has (TPMT_PUBLIC, Part 2 section 12.2.4). */
interface Common {
  readonly nameAlg: TpmHash;
  /** TPMA_OBJECT bits. */
  readonly attributes: number;
  readonly authPolicy: Uint8Array;
}

/** A scheme of a key: what it is bound to do and with which hash; undefined when the key leaves that open. */
export interface Scheme {
  readonly alg: number;
  readonly hash: TpmHash;
}

export interface EccPublic extends Common {
  readonly type: 'ecc';
  /** Bits of the AES key under which a storage key wraps its children; undefined for other keys. */
  readonly symmetric: number | undefined;
  readonly scheme: Scheme | undefined;
  readonly curve: Curve;
  /** Big-endian; in a template what the TPM is to start from, in a key its coordinates. */
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

export interface RsaPublic extends Common {
  readonly type: 'rsa';
  readonly symmetric: number | undefined;
  readonly scheme: Scheme | undefined;
  readonly bits: number;
  /** 0 stands for 65537. */
  readonly exponent: number;
  readonly modulus: Uint8Array;
}

/** A sealed secret. */
export interface SealedPublic extends Common {
  readonly type: 'sealed';
  readonly unique: Uint8Array;
}

export type PublicArea = EccPublic | RsaPublic | SealedPublic;
export type KeyPublic = EccPublic | RsaPublic;

const DIGEST_CEILING = 64;
const MODULUS_CEILING = 512;

/** TPMT_PUBLIC (Part 2 section 12.2.4), without the length before it. */
export function encodePublic(area: PublicArea): Uint8Array {
  const type = area.type === 'ecc' ? ALG.ECC : area.type === 'rsa' ? ALG.RSA : ALG.KEYEDHASH;
  const common = join(u16(type), u16(hashAlg(area.nameAlg)), u32(area.attributes), sized(area.authPolicy));
  switch (area.type) {
    case 'ecc':
      return join(
        common,
        symmetric(area.symmetric),
        scheme(area.scheme),
        u16(CURVE[area.curve]),
        u16(ALG.NULL),
        sized(area.x),
        sized(area.y),
      );
    case 'rsa':
      return join(
        common,
        symmetric(area.symmetric),
        scheme(area.scheme),
        u16(area.bits),
        u32(area.exponent),
        sized(area.modulus),
      );
    case 'sealed':
      return join(common, u16(ALG.NULL), sized(area.unique));
  }
}

/** TPMT_SYM_DEF_OBJECT (section 11.1.7) and TPMT_xxx_SCHEME (sections 11.2.4, 11.2.5). */
const symmetric = (bits: number | undefined): Uint8Array =>
  bits === undefined ? u16(ALG.NULL) : join(u16(ALG.AES), u16(bits), u16(ALG.CFB));
const scheme = (value: Scheme | undefined): Uint8Array =>
  value === undefined ? u16(ALG.NULL) : join(u16(value.alg), u16(hashAlg(value.hash)));

/**
 * Reads a TPMT_PUBLIC as a whole: nothing may follow it, and it must be what `encodePublic` would write, so that the
 * Name that is made of it is over exactly these bytes.
 * @throws KeysteadError `tpm2.malformed` for another form, or for a kind of object that Keystead does not use.
 */
export function decodePublic(bytes: Uint8Array): PublicArea {
  const reader = new WireReader(bytes);
  const type = reader.u16('the type of the public area');
  const nameAlg = hashOf(reader.u16('nameAlg'));
  if (nameAlg === undefined) throw malformed('nameAlg', 'a hash that is not known');
  const attributes = reader.u32('objectAttributes');
  const authPolicy = reader.sized(DIGEST_CEILING, 'authPolicy');
  const area = decodeDetail(reader, type, { nameAlg, attributes, authPolicy });
  reader.end('the public area');
  if (!sameBytes(encodePublic(area), bytes)) throw malformed('the public area', 'another spelling of it');
  return area;
}

function decodeDetail(reader: WireReader, type: number, common: Common): PublicArea {
  if (type === ALG.KEYEDHASH) {
    if (reader.u16('the scheme') !== ALG.NULL) throw malformed('the scheme', 'an object that is no sealed secret');
    return { type: 'sealed', ...common, unique: reader.sized(DIGEST_CEILING, 'unique') };
  }
  if (type !== ALG.ECC && type !== ALG.RSA) throw malformed('the type', `0x${type.toString(16)}`);
  const parts = { symmetric: decodeSymmetric(reader), scheme: decodeScheme(reader) };
  if (type === ALG.RSA) {
    const bits = reader.u16('keyBits');
    const exponent = reader.u32('the exponent');
    return { type: 'rsa', ...common, ...parts, bits, exponent, modulus: reader.sized(MODULUS_CEILING, 'the modulus') };
  }
  const curve = curveOf(reader.u16('the curve'));
  if (reader.u16('the KDF scheme') !== ALG.NULL) throw malformed('the KDF scheme', 'one where none is used');
  const field = FIELD_BYTES[curve];
  return { type: 'ecc', ...common, ...parts, curve, x: reader.sized(field, 'x'), y: reader.sized(field, 'y') };
}

function decodeSymmetric(reader: WireReader): number | undefined {
  const alg = reader.u16('the symmetric algorithm');
  if (alg === ALG.NULL) return undefined;
  const bits = reader.u16('the symmetric key bits');
  const known = (bits === 128 || bits === 256) && reader.u16('the symmetric mode') === ALG.CFB;
  if (alg !== ALG.AES || !known) throw malformed('the symmetric algorithm', 'other than AES-128 or AES-256 in CFB');
  return bits;
}

const SCHEMES: readonly number[] = [ALG.RSASSA, ALG.RSAPSS, ALG.OAEP, ALG.ECDSA, ALG.ECDH];

function decodeScheme(reader: WireReader): Scheme | undefined {
  const alg = reader.u16('the scheme');
  if (alg === ALG.NULL) return undefined;
  const hashName = SCHEMES.includes(alg) ? hashOf(reader.u16('the hash of the scheme')) : undefined;
  if (hashName === undefined) throw malformed('the scheme', `0x${alg.toString(16)} or its hash`);
  return { alg, hash: hashName };
}

/** The curve of a number. @throws KeysteadError `tpm2.malformed`. */
export function curveOf(id: number): Curve {
  if (id === CURVE['P-256']) return 'P-256';
  if (id === CURVE['P-384']) return 'P-384';
  throw malformed('the curve', `0x${id.toString(16)}`);
}

/** The Name of an object: nameAlg ‖ H(TPMT_PUBLIC) (Part 1 section 16). */
export function nameOf(area: PublicArea): Uint8Array {
  return join(u16(hashAlg(area.nameAlg)), hash(area.nameAlg, encodePublic(area), 'buffer'));
}

/** Whether all of these attributes are set. */
export function hasAttributes(area: PublicArea, ...names: readonly Attribute[]): boolean {
  return names.every((name) => (area.attributes & ATTRIBUTE[name]) !== 0);
}

/** Every attribute by its name in the specification, as it was read from the TPM. */
export function attributesOf(area: PublicArea): Record<Attribute, boolean> {
  const named = Object.entries(ATTRIBUTE).map(([name, bit]) => [name, (area.attributes & bit) !== 0]);
  return Object.fromEntries(named) as Record<Attribute, boolean>;
}

export const attributeBits = (...names: readonly Attribute[]): number =>
  names.reduce((bits, name) => bits | ATTRIBUTE[name], 0);

/** The key for OpenSSL, checked to lie on its curve. @throws KeysteadError `key.weak`. */
export function publicKeyObject(area: KeyPublic): KeyObject {
  try {
    return createPublicKey({ key: jwkOf(area), format: 'jwk' });
  } catch (cause) {
    throw new KeysteadError('key.weak', {
      field: 'public key',
      seen: 'a point or modulus that OpenSSL refuses',
      cause,
    });
  }
}

function jwkOf(area: KeyPublic): JsonWebKey {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  if (area.type === 'rsa') {
    return { kty: 'RSA', n: text(area.modulus), e: text(u32(area.exponent === 0 ? 65537 : area.exponent)) };
  }
  const { curve: crv } = area;
  // A TPM may leave out leading zeros; a JWK may not (RFC 7518 section 6.2.1.2).
  return { kty: 'EC', crv, x: text(padded(area.x, FIELD_BYTES[crv])), y: text(padded(area.y, FIELD_BYTES[crv])) };
}

/** Zeros before an unsigned big-endian number, up to `length`. */
export function padded(number: Uint8Array, length: number): Uint8Array {
  return number.length >= length ? number : join(new Uint8Array(length - number.length), number);
}

/** SubjectPublicKeyInfo, DER. @throws KeysteadError `key.weak`. */
export function spkiOf(area: KeyPublic): DerSpki {
  return new Uint8Array(publicKeyObject(area).export({ format: 'der', type: 'spki' })) as DerSpki;
}

/**
 * The coordinates of an EC public key, each as long as the field; OpenSSL checks that the point is on its curve, which
 * with cofactor 1 is the whole of SP 800-56A r3 section 5.6.2.3.3.
 * @throws KeysteadError `key.weak`, `key.algorithm-mismatch` for another kind of key or another curve.
 */
export function pointOf(spki: DerSpki, curve: Curve): { x: Uint8Array; y: Uint8Array } {
  let jwk: JsonWebKey;
  try {
    const key = Buffer.from(spki.buffer, spki.byteOffset, spki.length);
    jwk = createPublicKey({ key, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  } catch (cause) {
    throw new KeysteadError('key.weak', { field: 'peer', seen: 'no point on its curve', cause });
  }
  if (jwk.crv !== curve || jwk.x === undefined || jwk.y === undefined) {
    throw new KeysteadError('key.algorithm-mismatch', { field: 'peer', seen: `${jwk.crv ?? jwk.kty}, not ${curve}` });
  }
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'));
  return { x: bytes(jwk.x), y: bytes(jwk.y) };
}

/** TPMS_ECC_POINT (section 11.2.5.2). */
export const encodePoint = ({ x, y }: { x: Uint8Array; y: Uint8Array }): Uint8Array => join(sized(x), sized(y));

/** Nothing as a policy, a unique field, a qualifying datum. */
export const NOTHING = new Uint8Array(0);
