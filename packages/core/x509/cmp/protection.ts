import type { DerSpki } from '../../bytes/index.ts';
import {
  constantTimeEqual,
  type MacHash,
  type PasswordMac,
  passwordMac,
  randomBytes,
  type SecretBytes,
  type SignatureAlgorithm,
  verifySignature,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readSignatureAlgorithm } from '../algorithms.ts';
import { DerError, type DerNode, readDer, readInteger, readOid } from '../der/strict.ts';
import { integer, nullValue, octetString, oid, sequence } from '../der/writer.ts';
import { HASH_OIDS, HMAC_OIDS, MAC_OIDS } from './oids.ts';

/** How a message is protected (RFC 9810 section 5.1.3). */
export type CmpProtection =
  | { readonly kind: 'signature'; readonly algorithm: SignatureAlgorithm }
  | { readonly kind: 'mac'; readonly mac: PasswordMac };

/**
 * Parameters come from strangers, who need no secret to have us count: each message costs some milliseconds at most. The
 * secrets have 256 random bits, so that few iterations are enough: OpenSSL sends 500, others 1,000 to 2,048.
 */
const MOST_HASH_ITERATIONS = 4096;
const MOST_PBKDF2_ITERATIONS = 10_000;
/** RFC 9481 section 6.1.1: at least 128 bits of salt; OpenSSL sends 16 octets. */
const SALT_OCTETS = { min: 8, made: 16, max: 128 } as const;

const unsupported = (field: string, seen: string): KeysteadError =>
  new KeysteadError('cmp.algorithm-unsupported', { field, seen });

/**
 * Reads the protectionAlg of a header.
 * @param der AlgorithmIdentifier.
 * @throws KeysteadError `cmp.algorithm-unsupported`, `cmp.malformed`.
 */
export function readProtection(der: Uint8Array): CmpProtection {
  try {
    const node = readDer(der).expect(0x30, 'protectionAlg').counted(1, 2, 'protectionAlg');
    const type = readOid(node.children[0], 'protectionAlg');
    if (type === MAC_OIDS.passwordBasedMac) return { kind: 'mac', mac: readPasswordBasedMac(node) };
    if (type === MAC_OIDS.pbmac1) return { kind: 'mac', mac: readPbmac1(node) };
    const { algorithm } = readSignatureAlgorithm(node, 'protectionAlg');
    if (algorithm === undefined) throw unsupported('protectionAlg', type);
    return { kind: 'signature', algorithm };
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('cmp.malformed', { field: 'protectionAlg', seen: cause.message, cause });
    throw cause;
  }
}

/** PBMParameter (RFC 4211 section 4.4). */
function readPasswordBasedMac(node: DerNode): PasswordMac {
  const parameters = node.child(1, 0x30, 'PBMParameter').counted(4, 4, 'PBMParameter');
  return {
    kind: 'password-based-mac',
    salt: saltOf(parameters.child(0, 0x04, 'salt')),
    hash: hashOf(parameters.child(1, 0x30, 'owf'), HASH_OIDS, 'owf'),
    iterations: iterationsOf(parameters.child(2, 0x02, 'iterationCount'), MOST_HASH_ITERATIONS),
    hmac: hashOf(parameters.child(3, 0x30, 'mac'), HMAC_OIDS, 'mac', true),
  };
}

/** PBMAC1-params with PBKDF2-params (RFC 8018 appendix A.5 and A.2). */
function readPbmac1(node: DerNode): PasswordMac {
  const parameters = node.child(1, 0x30, 'PBMAC1-params').counted(2, 2, 'PBMAC1-params');
  const derivation = parameters.child(0, 0x30, 'keyDerivationFunc').counted(2, 2, 'keyDerivationFunc');
  const type = readOid(derivation.children[0], 'keyDerivationFunc');
  if (type !== MAC_OIDS.pbkdf2) throw unsupported('keyDerivationFunc', type);
  const pbkdf2 = derivation.child(1, 0x30, 'PBKDF2-params').counted(2, 4, 'PBKDF2-params');
  const rest = [...pbkdf2.children.slice(2)];
  const hmac = hashOf(parameters.child(1, 0x30, 'messageAuthScheme'), HMAC_OIDS, 'messageAuthScheme', true);
  const length = rest[0]?.tag === 0x02 ? rest.shift() : undefined;
  const keyLength = length === undefined ? OCTETS[hmac] : Number(readInteger(length, 'keyLength'));
  if (keyLength < 16 || keyLength > 64) throw unsupported('keyLength', String(keyLength));
  const prf = rest.shift();
  if (rest.length > 0) throw new DerError('PBKDF2-params has an element of no known kind');
  return {
    kind: 'pbmac1',
    salt: saltOf(pbkdf2.child(0, 0x04, 'salt')),
    iterations: iterationsOf(pbkdf2.child(1, 0x02, 'iterationCount'), MOST_PBKDF2_ITERATIONS),
    keyLength,
    // hmacWithSHA1 is the default, which DER leaves out.
    prf: prf === undefined ? 'sha1' : hashOf(prf.expect(0x30, 'prf'), HMAC_OIDS, 'prf', true),
    hmac,
  };
}

const OCTETS: Readonly<Record<MacHash, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

function saltOf(node: DerNode): Uint8Array {
  const { length } = node.value;
  if (length < SALT_OCTETS.min || length > SALT_OCTETS.max) throw unsupported('salt', `${length} octets`);
  return node.value;
}

function iterationsOf(node: DerNode, most: number): number {
  const iterations = Number(readInteger(node, 'iterationCount'));
  if (iterations < 1 || iterations > most) throw unsupported('iterationCount', `${iterations} of at most ${most}`);
  return iterations;
}

function hashOf(node: DerNode, known: Readonly<Record<string, MacHash>>, what: string, allowSha1 = false): MacHash {
  const type = readOid(node.counted(1, 2, what).children[0], what);
  if (node.children[1] !== undefined) node.child(1, 0x05, `the parameters of ${what}`);
  const hash = known[type];
  // RFC 9481 section 6.1.1 leaves SHA-1 to the HMAC alone, where collisions do not matter.
  if (hash === undefined || (hash === 'sha1' && !allowSha1)) throw unsupported(what, type);
  return hash;
}

/** The same way of making a MAC with a salt of its own. @throws KeysteadError `rng.unhealthy`. */
export const freshlySalted = (mac: PasswordMac): PasswordMac => ({ ...mac, salt: randomBytes(SALT_OCTETS.made) });

/** What a client makes a MAC with unless it is told otherwise: PBMAC1 (RFC 9481 section 6.1.2). */
export const defaultPasswordMac = (): PasswordMac => ({
  kind: 'pbmac1',
  salt: randomBytes(SALT_OCTETS.made),
  prf: 'sha256',
  iterations: 1000,
  keyLength: 32,
  hmac: 'sha256',
});

/** The AlgorithmIdentifier, DER, of a MAC. */
export function passwordMacDer(mac: PasswordMac): Uint8Array {
  const salt = octetString(mac.salt);
  const iterations = integer(mac.iterations);
  const hmac = sequence(oid(oidOf(HMAC_OIDS, mac.hmac)), nullValue());
  if (mac.kind === 'password-based-mac') {
    const owf = sequence(oid(oidOf(HASH_OIDS, mac.hash)), nullValue());
    return sequence(oid(MAC_OIDS.passwordBasedMac), sequence(salt, owf, iterations, hmac));
  }
  const prf = mac.prf === 'sha1' ? [] : [sequence(oid(oidOf(HMAC_OIDS, mac.prf)), nullValue())];
  const pbkdf2 = sequence(oid(MAC_OIDS.pbkdf2), sequence(salt, iterations, integer(mac.keyLength), ...prf));
  return sequence(oid(MAC_OIDS.pbmac1), sequence(pbkdf2, hmac));
}

/** The first of those that name it: that of RFC 8018 for HMACs. */
function oidOf(known: Readonly<Record<string, MacHash>>, hash: MacHash): string {
  const found = Object.keys(known).find((type) => known[type] === hash);
  if (found === undefined) throw new RangeError(`no such hash: ${hash}`);
  return found;
}

/** What a message is protected by, over its header and body as they came. */
export interface ProtectedOctets {
  /** ProtectedPart, DER. */
  readonly protectedPart: Uint8Array;
  readonly protection?: Uint8Array;
}

/** @throws KeysteadError `cmp.protection-invalid`. */
export function verifySigned(message: ProtectedOctets, algorithm: SignatureAlgorithm, spki: DerSpki): void {
  const { protectedPart, protection } = message;
  if (protection === undefined || !verifySignature(algorithm, spki, protectedPart, protection))
    throw new KeysteadError('cmp.protection-invalid', { field: 'protection', seen: algorithm });
}

/** Whether the MAC of a message is that of `secret`, in a time that tells nothing of it. */
export async function isMacOf(message: ProtectedOctets, mac: PasswordMac, secret: SecretBytes): Promise<boolean> {
  const { protectedPart, protection } = message;
  const expected = await passwordMac(mac, secret, protectedPart);
  return protection !== undefined && constantTimeEqual(expected, protection);
}
