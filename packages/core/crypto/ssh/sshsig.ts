import { hash } from 'node:crypto';
import { toBase64 } from '../../bytes/index.ts';
import { readSshPublicKey, type SshPublicKey } from './public-key.ts';
import {
  readSshSignature,
  type SecurityKeyFacts,
  type SshSignature,
  securityKeyFacts,
  verifySshSignature,
} from './signature.ts';
import { malformed, SshReader, sshString, uint32 } from './wire.ts';

/** SSHSIG, the detached signatures of `ssh-keygen -Y sign` (OpenSSH PROTOCOL.sshsig). */
export interface SshSig {
  readonly key: SshPublicKey;
  /** What the signature is for; a signature for one namespace is none for another. */
  readonly namespace: string;
  readonly hash: SshSigHash;
  readonly signature: SshSignature;
}

export type SshSigHash = 'sha256' | 'sha512';

/** What is signed: the message by its hash. */
export interface SshSigSubject {
  readonly namespace: string;
  readonly hash: SshSigHash;
  /** Of the message, by {@link hash}. */
  readonly digest: Uint8Array;
}

/** `why`: what a person can do something about. */
export type SshSigVerdict =
  | { readonly verdict: 'valid'; readonly securityKey: SecurityKeyFacts | null }
  | { readonly verdict: 'invalid'; readonly why: string };

const MAGIC = Buffer.from('SSHSIG', 'latin1');
const VERSION = 1;
const DIGEST_OCTETS: Readonly<Record<SshSigHash, number>> = { sha256: 32, sha512: 64 };
/** RSA of 4096 bits takes 1200 octets; armour adds a third. */
const MOST_BYTES = 4096;
const MOST_TEXT = 8192;
/** As ssh-keygen breaks lines. */
const LINE = /.{1,70}/g;
const ARMOUR = /^\s*-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]*)-----END SSH SIGNATURE-----\s*$/;

/**
 * Reads an armoured signature; verifies nothing. What two readers could read differently is refused: other versions,
 * reserved octets, anything after the end.
 * @throws KeysteadError `ssh.malformed`, `ssh.key-unsuitable`, `key.weak`.
 */
export function readSshSig(text: string): SshSig {
  if (text.length > MOST_TEXT) throw malformed('SSH signature', `${text.length} characters`);
  const [, body] = ARMOUR.exec(text) ?? [];
  if (body === undefined) throw malformed('SSH signature', 'no block BEGIN SSH SIGNATURE');
  const base64 = body.replace(/[\r\n]/g, '');
  const bytes = Buffer.from(base64, 'base64');
  if (toBase64(bytes) !== base64) throw malformed('SSH signature', 'no base64');
  return readSshSigBlob(bytes);
}

/** As {@link readSshSig}, of the blob inside the armour. */
export function readSshSigBlob(bytes: Uint8Array): SshSig {
  if (bytes.length > MOST_BYTES) throw malformed('SSH signature', `${bytes.length} bytes`);
  const reader = new SshReader(bytes, 'SSH signature');
  requireMagic(reader);
  const version = reader.uint32('version');
  if (version !== VERSION) throw malformed('SSH signature', `version ${version}`);
  const key = readSshPublicKey(reader.string('key'));
  const { namespace, hash } = readTerms(reader);
  const signature = readSshSignature(reader.string('signature'), key.type);
  reader.end();
  return { key, namespace, hash, signature };
}

/**
 * Whether `sig` is a signature of `message` for `namespace` by the key that it names. Whose key that is, and whether it
 * may sign, is the caller's to know. A security key must have been touched, as sshd asks too. Never an exception.
 */
export function verifySshSig(sig: SshSig, namespace: string, message: Uint8Array): SshSigVerdict {
  return verifySshSigDigest(sig, namespace, new Uint8Array(hash(sig.hash, message, 'buffer')));
}

/** As {@link verifySshSig}, of a message that is known by its hash. @param digest by `sig.hash`. */
export function verifySshSigDigest(sig: SshSig, namespace: string, digest: Uint8Array): SshSigVerdict {
  if (sig.namespace !== namespace) return { verdict: 'invalid', why: `it is for the namespace ${sig.namespace}` };
  const securityKey = securityKeyFacts(sig.signature);
  if (securityKey !== null && !securityKey.userPresent) return { verdict: 'invalid', why: 'nobody touched the key' };
  const signed = sshSigSubject({ namespace, hash: sig.hash, digest });
  if (verifySshSignature(sig.key, sig.signature, signed)) return { verdict: 'valid', securityKey };
  return { verdict: 'invalid', why: 'it is not one of this message by this key' };
}

/** The bytes that an SSHSIG key signs. */
export const sshSigSubject = ({ namespace, hash, digest }: SshSigSubject): Uint8Array =>
  Buffer.concat([MAGIC, sshString(namespace), sshString(''), sshString(hash), sshString(digest)]);

/** Reads those bytes, strictly. @throws KeysteadError `ssh.malformed`. */
export function readSshSigSubject(bytes: Uint8Array): SshSigSubject {
  if (bytes.length > MOST_BYTES) throw malformed('SSH signature', `${bytes.length} bytes`);
  const reader = new SshReader(bytes, 'SSH signature');
  requireMagic(reader);
  const terms = readTerms(reader);
  const digest = reader.string('hash of the message');
  if (digest.length !== DIGEST_OCTETS[terms.hash]) {
    throw malformed('SSH signature', `a hash of ${digest.length} bytes for ${terms.hash}`);
  }
  reader.end();
  return { ...terms, digest };
}

/** An armoured signature, put together. @param keyBlob and @param signature as SSH writes them. */
export function formatSshSig(keyBlob: Uint8Array, subject: SshSigSubject, signature: Uint8Array): string {
  const { namespace, hash } = subject;
  const terms = [sshString(namespace), sshString(''), sshString(hash)];
  const blob = Buffer.concat([MAGIC, uint32(VERSION), sshString(keyBlob), ...terms, sshString(signature)]);
  const lines = toBase64(blob).match(LINE) ?? [];
  return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
}

function requireMagic(reader: SshReader): void {
  if (Buffer.compare(reader.octets(MAGIC.length, 'preamble'), MAGIC) !== 0) {
    throw malformed('SSH signature', 'no SSHSIG at its start');
  }
}

function readTerms(reader: SshReader): { namespace: string; hash: SshSigHash } {
  const namespace = reader.name('namespace');
  if (namespace === '') throw malformed('SSH signature', 'an empty namespace');
  // Reserved: ssh-keygen verifies as if nothing stood there, so that nothing may.
  if (reader.string('reserved').length > 0) throw malformed('SSH signature', 'something in the reserved place');
  const hash = reader.name('hash');
  if (hash !== 'sha256' && hash !== 'sha512') throw malformed('SSH signature', `the hash ${hash}`);
  return { namespace, hash };
}
