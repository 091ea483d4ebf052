import { constants, type KeyObject, verify } from 'node:crypto';
import type { DerSpki } from '../bytes/index.ts';
import { importPublicKey } from './key.ts';

/**
 * Signatures of others. Keystead makes few kinds and accepts more: whatever has at least 112 bits of strength
 * (SP 800-131A r2 sections 3 and 9), so that a peer of another make is judged and not turned away.
 */

/** The least strength that is accepted, bits (SP 800-131A r2). */
export const LEAST_STRENGTH = 112;
/** Far above what is in use (4096); a larger modulus is a way to spend our time. */
const MOST_RSA_BITS = 8192;
/** A public exponent beyond 32 bits makes a verification as slow as a signature (FIPS 186-5 allows up to 256). */
const MOST_RSA_EXPONENT = 0xffffffffn;

type Family = 'rsa' | 'rsa-pss' | 'ec' | 'ed25519' | 'ed448' | 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' | 'dsa';
type Hash = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';

/** The strength of each hash against collisions, which is what a certificate's signature leans on (SP 800-57 pt 1 r5 table 3). */
const HASH_STRENGTH: Readonly<Record<Hash, number>> = { sha1: 80, sha224: 112, sha256: 128, sha384: 192, sha512: 256 };

interface Kind {
  readonly family: Family;
  /** Null where the scheme has its own, or where the parameters name it (RSASSA-PSS). */
  readonly hash: Hash | null;
}

/** RFC 4055, 5758, 8410, 9881; the weak ones are named so that the refusal can say what they are. */
const KINDS: Readonly<Record<string, Kind>> = {
  '1.2.840.113549.1.1.5': { family: 'rsa', hash: 'sha1' },
  '1.2.840.113549.1.1.14': { family: 'rsa', hash: 'sha224' },
  '1.2.840.113549.1.1.11': { family: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { family: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { family: 'rsa', hash: 'sha512' },
  '1.2.840.113549.1.1.10': { family: 'rsa-pss', hash: null },
  '1.2.840.10045.4.1': { family: 'ec', hash: 'sha1' },
  '1.2.840.10045.4.3.1': { family: 'ec', hash: 'sha224' },
  '1.2.840.10045.4.3.2': { family: 'ec', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { family: 'ec', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { family: 'ec', hash: 'sha512' },
  '1.3.101.112': { family: 'ed25519', hash: null },
  '1.3.101.113': { family: 'ed448', hash: null },
  '2.16.840.1.101.3.4.3.17': { family: 'ml-dsa-44', hash: null },
  '2.16.840.1.101.3.4.3.18': { family: 'ml-dsa-65', hash: null },
  '2.16.840.1.101.3.4.3.19': { family: 'ml-dsa-87', hash: null },
  '1.2.840.10040.4.3': { family: 'dsa', hash: 'sha1' },
  '2.16.840.1.101.3.4.3.2': { family: 'dsa', hash: 'sha256' },
};

/** The curves of SP 800-186, with strengths of SP 800-57 pt 1 r5 table 2, by OpenSSL's names. */
const CURVES: Readonly<Record<string, number>> = { secp224r1: 112, prime256v1: 128, secp384r1: 192, secp521r1: 256 };

/** An AlgorithmIdentifier as it stands in a certificate, CRL or OCSP answer. */
export interface PeerSignatureAlgorithm {
  /** Dotted. */
  readonly oid: string;
  /** For RSASSA-PSS: the hash, which must be that of MGF1 as well, and the salt's octets (RFC 4055 section 3.1). */
  readonly pss?: { readonly hash: string; readonly saltLength: number };
}

/** `weak`: its strength is below 112 bits, or it is of a kind that is not accepted; `why` says which. */
export type PeerSignatureVerdict =
  | { readonly verdict: 'valid' | 'invalid' }
  | { readonly verdict: 'weak'; readonly why: string };

/**
 * Whether `signature` is one of `data` by the key, and whether both have at least 112 bits of strength. DSA is refused
 * whatever its size: FIPS 186-5 took it out. Never throws: what comes from outside is a verdict, not a fault.
 * @param spki SubjectPublicKeyInfo, DER.
 */
export function verifyPeerSignature(
  algorithm: PeerSignatureAlgorithm,
  spki: DerSpki,
  data: Uint8Array,
  signature: Uint8Array,
): PeerSignatureVerdict {
  const kind = KINDS[algorithm.oid];
  if (kind === undefined) return { verdict: 'weak', why: `the signature algorithm ${algorithm.oid} is not accepted` };
  const hash = kind.family === 'rsa-pss' ? (algorithm.pss?.hash ?? null) : kind.hash;
  if (kind.family === 'dsa') return { verdict: 'weak', why: 'DSA is not accepted (FIPS 186-5)' };
  if (hash !== null && !isStrongHash(hash)) return { verdict: 'weak', why: `a signature over ${hash}` };
  if (kind.family === 'rsa-pss' && algorithm.pss === undefined)
    return { verdict: 'weak', why: 'RSASSA-PSS with parameters that are not accepted' };
  const key = tryImport(spki);
  if (key === undefined) return { verdict: 'weak', why: 'a key that cannot be read' };
  const weakness = weaknessOf(key);
  if (weakness !== undefined) return { verdict: 'weak', why: weakness };
  if (!mayVerify(key, kind.family)) return { verdict: 'invalid' };
  try {
    const how =
      algorithm.pss === undefined
        ? key
        : { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.pss.saltLength };
    return { verdict: verify(hash, data, how, signature) ? 'valid' : 'invalid' };
  } catch {
    return { verdict: 'invalid' };
  }
}

/** Why a peer's public key is not accepted; undefined when it has at least 112 bits of strength. Never throws. */
export function peerKeyWeakness(spki: DerSpki): string | undefined {
  const key = tryImport(spki);
  return key === undefined ? 'a key that cannot be read' : weaknessOf(key);
}

const isStrongHash = (hash: string): boolean => (HASH_STRENGTH[hash as Hash] ?? 0) >= LEAST_STRENGTH;

function tryImport(spki: DerSpki): KeyObject | undefined {
  try {
    return importPublicKey(spki);
  } catch {
    return undefined;
  }
}

function weaknessOf(key: KeyObject): string | undefined {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if (modulusLength < 2048) return `RSA of ${modulusLength} bits`;
      if (modulusLength > MOST_RSA_BITS || publicExponent > MOST_RSA_EXPONENT)
        return 'RSA of numbers larger than in use';
      return publicExponent < 3n || publicExponent % 2n === 0n ? 'RSA with a bad exponent' : undefined;
    case 'ec':
      return (CURVES[namedCurve] ?? 0) < LEAST_STRENGTH ? `the curve ${namedCurve || 'without a name'}` : undefined;
    case 'ed25519':
    case 'ed448':
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
      return undefined;
    default:
      return `a key of the kind ${key.asymmetricKeyType ?? 'unknown'}`;
  }
}

function mayVerify(key: KeyObject, family: Family): boolean {
  const type = key.asymmetricKeyType;
  // A key for RSASSA-PSS alone (RFC 4055 section 1.2) makes no PKCS#1 v1.5 signature; a plain one makes both.
  return type === family || (family === 'rsa-pss' && type === 'rsa');
}
