import { verify } from 'node:crypto';
import { ecdsaSigValue } from '../ecdsa-sig-value.ts';
import { sha256 } from '../hash.ts';
import { importPublicKey } from '../key.ts';
import type { SshKeyType, SshPublicKey } from './public-key.ts';
import { malformed, SshReader } from './wire.ts';

/** What an authenticator says of the moment in which it signed (CTAP 2.1 section 6.1, flags of authenticator data). */
export interface SecurityKeyFacts {
  /** Somebody touched it. */
  readonly userPresent: boolean;
  /** It knew who: PIN or biometrics. */
  readonly userVerified: boolean;
  /** Its signature counter; 0 where it has none. */
  readonly counter: number;
}

/** A signature in SSH's form, taken apart. */
export interface SshSignature {
  /** Its algorithm, which for RSA names the hash. */
  readonly algorithm: string;
  /** As node:crypto takes it: ECDSA in DER. */
  readonly value: Uint8Array;
  readonly flags: number | null;
  readonly counter: number | null;
}

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;

/** The algorithms of signatures of each kind of key. RSA with SHA-1 (`ssh-rsa`) is not among them. */
const ALGORITHMS: Readonly<Record<SshKeyType, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
  'sk-ssh-ed25519@openssh.com': ['sk-ssh-ed25519@openssh.com'],
  'sk-ecdsa-sha2-nistp256@openssh.com': ['sk-ecdsa-sha2-nistp256@openssh.com'],
};
/** RFC 5656 section 6.2.1, RFC 8332; a security key hashes with SHA-256. */
const HASHES: Readonly<Record<string, string | null>> = {
  'ssh-ed25519': null,
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'rsa-sha2-512': 'sha512',
  'rsa-sha2-256': 'sha256',
  'sk-ssh-ed25519@openssh.com': null,
  'sk-ecdsa-sha2-nistp256@openssh.com': 'sha256',
};
/** Octets of one number of P-384, the larger curve. */
const MOST_NUMBER = 48;

/** Reads a signature by a key of `type`. @throws KeysteadError `ssh.malformed`. */
export function readSshSignature(bytes: Uint8Array, type: SshKeyType): SshSignature {
  const reader = new SshReader(bytes, 'SSH signature');
  const algorithm = reader.name('algorithm');
  if (!ALGORITHMS[type].includes(algorithm)) throw malformed('SSH signature', `${algorithm} by a key of ${type}`);
  const value = reader.string('signature');
  const [flags = null] = type.startsWith('sk-') ? reader.octets(1, 'flags') : [];
  const counter = type.startsWith('sk-') ? reader.uint32('counter') : null;
  reader.end();
  return { algorithm, value: algorithm.includes('ecdsa') ? readNumbers(value) : value, flags, counter };
}

/** RFC 5656 section 3.1.2: r and s as mpints. */
function readNumbers(bytes: Uint8Array): Uint8Array {
  const reader = new SshReader(bytes, 'SSH signature');
  const r = reader.mpint(MOST_NUMBER, 'r');
  const s = reader.mpint(MOST_NUMBER, 's');
  reader.end();
  return ecdsaSigValue(r, s);
}

/**
 * Whether the signature is one of `data` by the key. A security key signs SHA-256 of its application, the flags, the
 * counter and SHA-256 of the data (PROTOCOL.u2f). Never an exception.
 */
export function verifySshSignature(key: SshPublicKey, signature: SshSignature, data: Uint8Array): boolean {
  const { algorithm, value, flags, counter } = signature;
  const digest = HASHES[algorithm];
  if (digest === undefined || !ALGORITHMS[key.type].includes(algorithm)) return false;
  let signed = data;
  if (key.application !== null) {
    if (flags === null || counter === null) return false;
    const facts = Buffer.alloc(5);
    facts.writeUInt8(flags, 0);
    facts.writeUInt32BE(counter, 1);
    signed = Buffer.concat([sha256(Buffer.from(key.application, 'latin1')), facts, sha256(data)]);
  }
  try {
    return verify(digest, signed, importPublicKey(key.spki), value);
  } catch {
    return false;
  }
}

/** What the authenticator says; null for a key that is in none. */
export function securityKeyFacts({ flags, counter }: SshSignature): SecurityKeyFacts | null {
  if (flags === null || counter === null) return null;
  return { userPresent: (flags & USER_PRESENT) !== 0, userVerified: (flags & USER_VERIFIED) !== 0, counter };
}
