import { createHash } from 'node:crypto';
import { toHex } from '../../bytes/index.ts';
import {
  ecdsaNumbers,
  formatSshSig,
  type KeyAlgorithm,
  readSshSigSubject,
  SIGNATURE_OF,
  type SshSigSubject,
  sshKeyBlob,
  sshMpint,
  sshSigSubject,
  sshString,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { FirmwareClaims, FirmwareFormat, FirmwareReading, FormatKey, SigningTerms } from '../format.ts';
import { piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { described, type SignerKey, signerKey, unsuitable } from '../signer-key.ts';

/**
 * The namespaces that a firmware key signs for: never one of people's approvals, of commits or of files, whatever
 * whoever asks puts into the subject.
 */
const NAMESPACE = /^firmware(?:@[a-z0-9](?:[a-z0-9.-]{0,126}[a-z0-9])?)?$/;
const NO_CLAIMS: FirmwareClaims = { product: null, version: null, securityCounter: null };

/** SSH's signature by each of our keys, whose curve goes with one hash alone (RFC 5656 section 6.2.1). */
const ALGORITHMS: Partial<Record<KeyAlgorithm, SshSignature>> = {
  'P-256': { name: 'ecdsa-sha2-nistp256', octets: 32 },
  'P-384': { name: 'ecdsa-sha2-nistp384', octets: 48 },
  Ed25519: { name: 'ssh-ed25519', octets: 0 },
};
/** Of RSA: RFC 8332 has SHA-256 and SHA-512, and none with SHA-384 or RSASSA-PSS. */
const RSA: SshSignature = { name: 'rsa-sha2-256', octets: 0 };

interface SshSignature {
  readonly name: string;
  /** Of one number of an ECDSA signature; 0 for others. */
  readonly octets: number;
}

/**
 * Detached signatures that `ssh-keygen -Y verify` judges (OpenSSH PROTOCOL.sshsig). The image is any file; the subject
 * is what its key signs: the namespace and the file's SHA-512.
 * @param namespace `firmware` or `firmware@` and a domain; what it is for, which the verifier must ask for.
 * @throws KeysteadError `firmware.parameter` for another namespace.
 */
export function sshsigFormat(namespace: string): FirmwareFormat {
  if (!NAMESPACE.test(namespace)) {
    throw new KeysteadError('firmware.parameter', { field: 'namespace', seen: namespace });
  }
  return {
    name: 'sshsig',
    title: 'SSHSIG: a detached signature, which ssh-keygen -Y verify judges',
    signedBy: (key) => sshSignature(key) !== undefined,
    // ssh-keygen reads the first signature of a file and no other.
    signedTogether: (keys) => keys.length === 1,
    async read(image) {
      const hash = createHash('sha512');
      for await (const piece of piecesOf(image)) hash.update(piece);
      return readingOf(sshSigSubject({ namespace, hash: 'sha512', digest: hash.digest() }), image.size);
    },
    claims(subject) {
      checked(subject);
      return NO_CLAIMS;
    },
    compose(subject, terms) {
      algorithmOf(signerKey(terms));
      checked(subject);
      return subject;
    },
    async *assemble(_image, subject, made) {
      const read = checked(subject);
      if (made.length !== 1) throw unsuitable(`${made.length} keys, SSHSIG has one`);
      for (const one of made) yield Buffer.from(armoured(read, one, one.signature));
    },
  };
}

/** The format where nobody names an organisation. */
export const sshsig: FirmwareFormat = sshsigFormat('firmware');

/** @throws KeysteadError `firmware.malformed`. */
function checked(subject: Uint8Array): SshSigSubject {
  const read = subjectOf(subject);
  if (!NAMESPACE.test(read.namespace)) throw malformed('namespace', read.namespace);
  if (read.hash !== 'sha512') throw malformed('hash', read.hash);
  return read;
}

function subjectOf(subject: Uint8Array): SshSigSubject {
  try {
    return readSshSigSubject(subject);
  } catch (cause) {
    if (!(cause instanceof KeysteadError)) throw cause;
    throw new KeysteadError('firmware.malformed', { field: 'subject', seen: cause.message, cause });
  }
}

function readingOf(subject: Uint8Array, size: number): FirmwareReading {
  const { namespace, digest } = checked(subject);
  const shown = [
    { name: 'namespace', value: namespace },
    { name: 'file', value: `${size} bytes` },
    { name: 'file SHA-512', value: toHex(digest) },
  ];
  return { ...NO_CLAIMS, format: 'sshsig', shown, signatures: 0, subject };
}

function sshSignature({ algorithm, scheme }: FormatKey): SshSignature | undefined {
  if (scheme === 'sha256WithRSAEncryption') return RSA;
  return scheme === SIGNATURE_OF[algorithm] ? ALGORITHMS[algorithm] : undefined;
}

function algorithmOf(key: SignerKey): SshSignature {
  const found = sshSignature(key);
  if (found === undefined) throw unsuitable(`${described(key)}, which SSH has no signature for`);
  return found;
}

function armoured(subject: SshSigSubject, terms: SigningTerms, signature: Uint8Array): string {
  const key = signerKey(terms);
  const { name, octets } = algorithmOf(key);
  const numbers = octets === 0 ? signature : ecdsaNumbers(signature, octets);
  const value =
    octets === 0 ? numbers : Buffer.concat([sshMpint(numbers.subarray(0, octets)), sshMpint(numbers.subarray(octets))]);
  return formatSshSig(sshKeyBlob(key.spki), subject, Buffer.concat([sshString(name), sshString(value)]));
}
