import { hash } from 'node:crypto';
import { type DerSpki, toBase64 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { algorithmOf, ed25519Octets, ed25519Spki, importPublicKey } from '../key.ts';
import { algorithmOfSpki, ecPoint, ecSpki, rsaSpki } from '../public-numbers.ts';
import { malformed, SshReader, sshMpint, sshString } from './wire.ts';

/** The kinds of key that SSHSIG is accepted from (RFC 8709, RFC 5656, RFC 4253; OpenSSH PROTOCOL.u2f). */
export type SshKeyType =
  | 'ssh-ed25519'
  | 'ecdsa-sha2-nistp256'
  | 'ecdsa-sha2-nistp384'
  | 'ssh-rsa'
  | 'sk-ssh-ed25519@openssh.com'
  | 'sk-ecdsa-sha2-nistp256@openssh.com';

/** A public key in SSH's form. */
export interface SshPublicKey {
  readonly type: SshKeyType;
  readonly spki: DerSpki;
  /** A security key's application, `ssh:` where nobody chose another; null for other keys. */
  readonly application: string | null;
  /** The key as SSH writes it. */
  readonly blob: Uint8Array;
}

/** RSA of 4096 bits with a security key's application takes under 600 octets. */
export const MOST_KEY_BYTES = 2048;
const MOST_RSA_OCTETS = 512;
const MOST_EXPONENT_OCTETS = 4;

const CURVES = {
  'ecdsa-sha2-nistp256': { name: 'nistp256', algorithm: 'P-256' },
  'ecdsa-sha2-nistp384': { name: 'nistp384', algorithm: 'P-384' },
  'sk-ecdsa-sha2-nistp256@openssh.com': { name: 'nistp256', algorithm: 'P-256' },
} as const;

/**
 * Reads a key blob. It has one encoding only, and the key is of an algorithm that Keystead knows; whether it is a good
 * key is for `checkPublicKey` to say.
 * @throws KeysteadError `ssh.malformed`, `ssh.key-unsuitable` for another kind of key, `key.weak` for no point of its curve.
 */
export function readSshPublicKey(blob: Uint8Array): SshPublicKey {
  if (blob.length > MOST_KEY_BYTES) throw malformed('SSH key', `${blob.length} bytes`);
  const reader = new SshReader(blob, 'SSH key');
  const type = reader.name('type');
  const spki = readNumbers(type, reader);
  const application = type.startsWith('sk-') ? reader.name('application') : null;
  reader.end();
  return { type: type as SshKeyType, spki, application, blob: Uint8Array.from(blob) };
}

function readNumbers(type: string, reader: SshReader): DerSpki {
  switch (type) {
    case 'ssh-ed25519':
    case 'sk-ssh-ed25519@openssh.com': {
      const octets = reader.string('key');
      if (octets.length !== 32) throw malformed('SSH key', `an Ed25519 key of ${octets.length} bytes`);
      return ed25519Spki(octets);
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'sk-ecdsa-sha2-nistp256@openssh.com': {
      const { name, algorithm } = CURVES[type];
      const curve = reader.name('curve');
      if (curve !== name) throw malformed('SSH key', `the curve ${curve} in a key of ${type}`);
      return ecSpki(algorithm, reader.string('point'));
    }
    case 'ssh-rsa': {
      const exponent = reader.mpint(MOST_EXPONENT_OCTETS, 'exponent');
      const modulus = reader.mpint(MOST_RSA_OCTETS, 'modulus');
      if (exponent.length === 0 || modulus.length === 0) throw malformed('SSH key', 'RSA numbers of zero');
      const spki = rsaSpki(modulus, exponent);
      if (algorithmOf(importPublicKey(spki)) === undefined) throw unsuitable(`RSA of ${modulus.length * 8} bits`);
      return spki;
    }
    default:
      throw unsuitable(type);
  }
}

/**
 * The key blob of a public key. @throws KeysteadError `ssh.key-unsuitable` for one that SSH has no name for.
 */
export function sshKeyBlob(spki: DerSpki): Uint8Array {
  const algorithm = algorithmOfSpki(spki);
  if (algorithm === 'P-256' || algorithm === 'P-384') {
    const type = algorithm === 'P-256' ? 'ecdsa-sha2-nistp256' : 'ecdsa-sha2-nistp384';
    return Buffer.concat([sshString(type), sshString(CURVES[type].name), sshString(ecPoint(algorithm, spki))]);
  }
  const octets = ed25519Octets(spki);
  if (octets !== undefined) return Buffer.concat([sshString('ssh-ed25519'), sshString(octets)]);
  const { n, e } = importPublicKey(spki).export({ format: 'jwk' });
  if (n === undefined || e === undefined) throw unsuitable(algorithm ?? 'a key of another kind');
  const number = (text: string): Uint8Array => sshMpint(Buffer.from(text, 'base64url'));
  return Buffer.concat([sshString('ssh-rsa'), number(e), number(n)]);
}

/**
 * A line of a `.pub` file or of `allowed_signers` without its principals: type, base64, comment.
 * @throws KeysteadError as {@link readSshPublicKey}.
 */
export function parseSshPublicKey(line: string): SshPublicKey & { readonly comment: string } {
  if (line.length > 2 * MOST_KEY_BYTES) throw malformed('SSH key', `a line of ${line.length} characters`);
  const [, type, base64 = '', comment = ''] = /^(\S+) +([A-Za-z0-9+/]+={0,2})(?: +(\S.*?))?\s*$/.exec(line) ?? [];
  if (type === undefined) throw malformed('SSH key', 'no line of type, base64 and comment');
  const blob = Buffer.from(base64, 'base64');
  if (toBase64(blob) !== base64) throw malformed('SSH key', 'no base64');
  const key = readSshPublicKey(blob);
  if (key.type !== type) throw malformed('SSH key', `a key of ${key.type} in a line of another type`);
  return { ...key, comment };
}

/** A line of a `.pub` file. */
export const formatSshPublicKey = ({ type, blob }: SshPublicKey, comment: string): string =>
  `${type} ${toBase64(blob)}${comment === '' ? '' : ` ${comment}`}`;

/** As `ssh-keygen -l` shows it: `SHA256:` and base64 without padding. */
export const sshFingerprint = ({ blob }: Pick<SshPublicKey, 'blob'>): string =>
  `SHA256:${hash('sha256', blob, 'base64').replace(/=+$/, '')}`;

const unsuitable = (seen: string): KeysteadError => new KeysteadError('ssh.key-unsuitable', { field: 'SSH key', seen });
