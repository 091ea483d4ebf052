import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { DerSpki } from '../bytes/index.ts';
import { sameBytes } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { importPublicKey, spkiOf } from './key.ts';
import { sampleRandomHealth } from './random.ts';
import { SecretBytes } from './secret.ts';

/** Groups in which two parties agree: SP 800-56A r3 appendix D, and RFC 7748. All have a cofactor that is dealt with. */
export type AgreementGroup = 'P-256' | 'P-384' | 'P-521' | 'X25519';

/**
 * What stands before the public octets in a SubjectPublicKeyInfo (RFC 5480 section 2, RFC 8410 section 4). There is one
 * encoding of a key: a named curve, the point uncompressed. Then come x and y, or the 32 octets of X25519.
 */
const SPKI_PREFIX: Readonly<Record<AgreementGroup, Uint8Array>> = {
  'P-256': Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
  'P-384': Buffer.from('3076301006072a8648ce3d020106052b81040022036200', 'hex'),
  'P-521': Buffer.from('30819b301006072a8648ce3d020106052b8104002303818600', 'hex'),
  X25519: Buffer.from('302a300506032b656e032100', 'hex'),
};

/** Length of the public octets: 0x04 ‖ x ‖ y (SEC 1 section 2.3.3), or u (RFC 7748 section 5). */
const PUBLIC_BYTES: Readonly<Record<AgreementGroup, number>> = { 'P-256': 65, 'P-384': 97, 'P-521': 133, X25519: 32 };
const UNCOMPRESSED = 0x04;

/** What stands before a bare scalar in a PrivateKeyInfo without the public half (RFC 5915, RFC 8410 section 7). */
const SCALAR_PREFIX = {
  'P-256': Buffer.from('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420', 'hex'),
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
} as const;

/** For this room: the order n of each curve, above every scalar, as long as a scalar is written (SP 800-186 sections 3.2.1.3 to 3.2.1.5). */
export const ORDER: Readonly<Record<Exclude<AgreementGroup, 'X25519'>, Buffer>> = {
  'P-256': Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex'),
  'P-384': Buffer.from(
    'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
    'hex',
  ),
  'P-521': Buffer.from(
    '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409',
    'hex',
  ),
};

const CURVES: Readonly<Record<string, AgreementGroup>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
};

/**
 * SubjectPublicKeyInfo, DER, of a public key as protocols send it: 0x04 ‖ x ‖ y for the NIST curves, 32 octets for X25519.
 * @throws KeysteadError `agreement.key-invalid` when the key fails {@link requireAgreementKey}.
 */
export function agreementSpki(group: AgreementGroup, octets: Uint8Array): DerSpki {
  if (octets.length !== PUBLIC_BYTES[group]) throw invalid(group, `${octets.length} bytes`);
  const spki = new Uint8Array(Buffer.concat([SPKI_PREFIX[group], octets])) as DerSpki;
  requireAgreementKey(group, spki);
  return spki;
}

/** The octets of a public key, as {@link agreementSpki} takes them. @throws KeysteadError `agreement.key-invalid`. */
export function agreementOctets(group: AgreementGroup, spki: DerSpki): Uint8Array {
  requireAgreementKey(group, spki);
  return spki.slice(SPKI_PREFIX[group].length);
}

/**
 * Full validation of a peer's public key (SP 800-56A r3 section 5.6.2.3.3): of this group, in the one encoding, coordinates
 * below p, on the curve, not infinity, which no point of that length is. The NIST curves have cofactor 1, so that every
 * such point has order n and the fourth check, n·Q, has nothing left to find. X25519 takes any 32 octets (RFC 7748 section
 * 5); the points of small order are refused by what they agree on, zero. REQ-KEY-KAG-01.
 * @throws KeysteadError `agreement.key-invalid`.
 */
export function requireAgreementKey(group: AgreementGroup, spki: DerSpki): void {
  importAgreementPublic(group, spki);
}

/** For this room only: a KeyObject does not leave it. */
export function importAgreementPublic(group: AgreementGroup, spki: Uint8Array): KeyObject {
  const prefix = SPKI_PREFIX[group];
  if (spki.length !== prefix.length + PUBLIC_BYTES[group] || !sameBytes(spki.subarray(0, prefix.length), prefix)) {
    throw invalid(group, `${spki.length} bytes in another encoding`);
  }
  if (group !== 'X25519' && spki[prefix.length] !== UNCOMPRESSED) throw invalid(group, 'no uncompressed point');
  try {
    return importPublicKey(spki);
  } catch {
    throw invalid(group, 'a point off the curve');
  }
}

/** Z of two keys of one group. For this room only. @throws KeysteadError `agreement.key-invalid` when Z is zero. */
export function sharedSecret(group: AgreementGroup, privateKey: KeyObject, publicKey: KeyObject): SecretBytes {
  try {
    const z = diffieHellman({ privateKey, publicKey });
    return SecretBytes.take(new Uint8Array(z.buffer, z.byteOffset, z.length));
  } catch {
    // OpenSSL refuses to give out the zero that a point of small order leads to (RFC 7748 section 6.1).
    throw invalid(group, 'a point of small order');
  }
}

/**
 * A fresh pair from OpenSSL's DRBG, health-tested first and tried against another pair (SP 800-56A r3 section
 * 5.6.2.1.4). For this room only.
 * @throws KeysteadError `rng.unhealthy`, `key.inconsistent`.
 */
export function generateAgreementPair(group: AgreementGroup): KeyObject {
  const privateKey = generate(group);
  requireConsistent(group, privateKey);
  return privateKey;
}

/** A private key from its scalar. For this room only: the hybrids derive theirs. @throws Error of node:crypto. */
export function privateKeyOfScalar(group: 'P-256' | 'X25519', scalar: Uint8Array): KeyObject {
  const der = Buffer.concat([SCALAR_PREFIX[group], scalar]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

/**
 * A private key that somebody kept: its scalar in range (SP 800-56A r3 section 5.6.2.1.2; OpenSSL takes any), its public
 * half validated, the pair tried. For this room only.
 * @throws KeysteadError `key.malformed`, `key.algorithm-mismatch`, `agreement.key-invalid`, `key.inconsistent`.
 */
export function importAgreementPrivate(group: AgreementGroup, pkcs8: SecretBytes): KeyObject {
  const key = pkcs8.use((bytes) => {
    try {
      const der = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    } catch {
      throw new KeysteadError('key.malformed', { field: 'private key', seen: `${bytes.length} bytes` });
    }
  });
  if (groupOf(key) !== group) {
    throw new KeysteadError('key.algorithm-mismatch', { field: 'private key', seen: `another key for ${group}` });
  }
  importAgreementPublic(group, spkiOf(key));
  if (group !== 'X25519' && !scalarInRange(group, key)) {
    throw new KeysteadError('key.malformed', { field: 'private key', seen: `a scalar out of range for ${group}` });
  }
  requireConsistent(group, key);
  return key;
}

/** Whether d < n; that it is not 0 shows in the public half, which would be infinity. */
function scalarInRange(group: keyof typeof ORDER, key: KeyObject): boolean {
  const order = ORDER[group];
  const der = key.export({ format: 'der', type: 'pkcs8' });
  // ECPrivateKey (RFC 5915 section 3) begins with version 1 and the scalar; nothing before it in OpenSSL's DER looks alike.
  const version = der.indexOf(Uint8Array.of(2, 1, 1, 4, order.length));
  const scalar = der.subarray(version + 5, version + 5 + order.length);
  const inRange = version >= 0 && Buffer.compare(scalar, order) < 0;
  der.fill(0);
  return inRange;
}

function groupOf(key: KeyObject): AgreementGroup | undefined {
  if (key.asymmetricKeyType === 'x25519') return 'X25519';
  return key.asymmetricKeyType === 'ec' ? CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''] : undefined;
}

function generate(group: AgreementGroup): KeyObject {
  sampleRandomHealth();
  if (group === 'X25519') return generateKeyPairSync('x25519').privateKey;
  return generateKeyPairSync('ec', { namedCurve: group }).privateKey;
}

/** One pair for each group and process, to try others against. */
const probes = new Map<AgreementGroup, KeyObject>();

function requireConsistent(group: AgreementGroup, key: KeyObject): void {
  let probe = probes.get(group);
  if (probe === undefined) {
    probe = generate(group);
    probes.set(group, probe);
  }
  using one = sharedSecret(group, key, createPublicKey(probe));
  using other = sharedSecret(group, probe, createPublicKey(key));
  if (!one.use((a) => other.use((b) => sameBytes(a, b)))) {
    throw new KeysteadError('key.inconsistent', { field: 'private key', seen: group });
  }
}

function invalid(group: AgreementGroup, seen: string): KeysteadError {
  return new KeysteadError('agreement.key-invalid', { field: 'public key', seen: `${seen} for ${group}` });
}
