import { type DerSpki, toHex } from '../bytes/index.ts';
import { isPostQuantum, type KeyAlgorithm, type PostQuantumAlgorithm } from '../crypto/index.ts';
import { DerError, type DerNode, readDer, readOctetBits, readOid } from './der/strict.ts';
import { KEY_OIDS, nameOf, POST_QUANTUM_OIDS } from './oids.ts';

/** A SubjectPublicKeyInfo taken apart. */
export interface PublicKeyParts {
  readonly spki: DerSpki;
  /** Undefined for an algorithm or size that Keystead does not know. */
  readonly keyAlgorithm: KeyAlgorithm | undefined;
  /** What it is, for messages: `P-256`, `RSA-1024`, `1.2.840.10045.3.1.1`. */
  readonly described: string;
  /** The content of the BIT STRING: what key identifiers are hashes of. */
  readonly keyBits: Uint8Array;
  /** For RSA, unsigned big-endian without leading zeros. */
  readonly rsa?: { readonly modulus: Uint8Array; readonly exponent: Uint8Array };
}

const CURVES: Readonly<Record<string, { name: KeyAlgorithm; octets: number }>> = {
  [KEY_OIDS.prime256v1]: { name: 'P-256', octets: 65 },
  [KEY_OIDS.secp384r1]: { name: 'P-384', octets: 97 },
};
/** Octets: FIPS 204 table 2, FIPS 205 table 2. */
export const POST_QUANTUM_KEY_OCTETS: Readonly<Record<PostQuantumAlgorithm, number>> = {
  'ML-DSA-65': 1952,
  'ML-DSA-87': 2592,
  'SLH-DSA-SHA2-128s': 32,
  'SLH-DSA-SHA2-192s': 48,
  'SLH-DSA-SHA2-256s': 64,
};
const RSA_SIZES: Readonly<Record<number, KeyAlgorithm>> = { 2048: 'RSA-2048', 3072: 'RSA-3072', 4096: 'RSA-4096' };

/**
 * Takes a SubjectPublicKeyInfo apart. Each key has one encoding only, since the index of used keys is over its hash:
 * the parameters are exactly those of RFC 5480, 8410, 3279, 9881 and 9909, and points are uncompressed.
 * Says nothing of whether the key is good; that is `checkPublicKey`.
 * @throws DerError for anything that is not a SubjectPublicKeyInfo, or another encoding of one.
 */
export function readPublicKey(node: DerNode): PublicKeyParts {
  const what = 'subjectPublicKeyInfo';
  const spki = node.expect(0x30, what).counted(2, 2, what).bytes as DerSpki;
  const algorithm = node.child(0, 0x30, `the algorithm of ${what}`).counted(1, 2, `the algorithm of ${what}`);
  const keyBits = readOctetBits(node.child(1, 0x03, `the key of ${what}`), `the key of ${what}`);
  const parameters = algorithm.children[1];
  const id = readOid(algorithm.children[0], `the algorithm of ${what}`);
  if (id === KEY_OIDS.ecPublicKey) {
    // RFC 5480 section 2.1.1: implicitCurve and specifiedCurve must not be used in PKIX.
    if (parameters?.tag !== 0x06)
      return { spki, keyAlgorithm: undefined, described: 'a curve without a name', keyBits };
    const curveId = readOid(parameters, 'the named curve');
    const curve = CURVES[curveId];
    if (curve === undefined) return { spki, keyAlgorithm: undefined, described: `the curve ${curveId}`, keyBits };
    if (keyBits.length !== curve.octets || keyBits[0] !== 0x04)
      throw new DerError(`the point is not an uncompressed point of ${curve.name}`);
    return { spki, keyAlgorithm: curve.name, described: curve.name, keyBits };
  }
  if (id === KEY_OIDS.Ed25519) {
    if (parameters !== undefined) throw new DerError('Ed25519 has no parameters');
    if (keyBits.length !== 32) throw new DerError('an Ed25519 key has 32 octets');
    return { spki, keyAlgorithm: 'Ed25519', described: 'Ed25519', keyBits };
  }
  if (id === KEY_OIDS.rsaEncryption) {
    if (parameters?.tag !== 0x05) throw new DerError('rsaEncryption has the parameter NULL');
    const key = readDer(keyBits).expect(0x30, 'the RSA key').counted(2, 2, 'the RSA key');
    const modulus = unsigned(key.child(0, 0x02, 'the modulus'), 'the modulus');
    const exponent = unsigned(key.child(1, 0x02, 'the exponent'), 'the exponent');
    const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
    const keyAlgorithm = RSA_SIZES[bits];
    return { spki, keyAlgorithm, described: `RSA-${bits}`, keyBits, rsa: { modulus, exponent } };
  }
  const name = nameOf(POST_QUANTUM_OIDS, id);
  if (isPostQuantum(name)) {
    if (parameters !== undefined) throw new DerError(`${name} has no parameters`);
    const octets = POST_QUANTUM_KEY_OCTETS[name];
    if (keyBits.length !== octets) throw new DerError(`a key of ${name} has ${octets} octets`);
    return { spki, keyAlgorithm: name, described: name, keyBits };
  }
  return { spki, keyAlgorithm: undefined, described: `the algorithm ${id}`, keyBits };
}

/** Takes apart a SubjectPublicKeyInfo by itself. @throws DerError */
export const readSpki = (spki: Uint8Array): PublicKeyParts => readPublicKey(readDer(spki));

function unsigned(node: DerNode, what: string): Uint8Array {
  const value = node.value;
  if ((value[0] ?? 0) & 0x80) throw new DerError(`${what} is negative`);
  if (value.length === 1 && value[0] === 0) throw new DerError(`${what} is zero`);
  return value[0] === 0 ? value.subarray(1) : value;
}

/** A big-endian unsigned number. */
export const bigIntOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes) || '0'}`);
