import { createHash } from 'node:crypto';
import { toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, readDer, readInteger } from '../../x509/der/strict.ts';
import { integer, octetString, sequence } from '../../x509/index.ts';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';

/** What a detached signature depends on: the content by its digest, and its size, which a person can compare. */
export interface ContentSubject {
  /** Octets. */
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

const SHA256_OCTETS = 32;
const VERSION = 1;

/**
 * The one encoding of it, DER: `SEQUENCE { version INTEGER (1), bytes INTEGER, sha256 OCTET STRING (SIZE (32)) }`.
 * docs/decisions/0041
 */
export const contentSubject = ({ bytes, sha256 }: ContentSubject): Uint8Array =>
  sequence(integer(VERSION), integer(bytes), octetString(sha256));

/** Reads one. @throws KeysteadError `firmware.malformed` for anything but the one encoding. */
export function readContentSubject(subject: Uint8Array): ContentSubject {
  try {
    const root = readDer(subject).expect(0x30, 'the subject').counted(3, 3, 'the subject');
    const version = readInteger(root.child(0, 0x02, 'the version'), 'the version');
    const bytes = readInteger(root.child(1, 0x02, 'the size'), 'the size');
    const sha256 = root.child(2, 0x04, 'the digest').value;
    if (version !== BigInt(VERSION)) throw new DerError(`the version is ${version}`);
    if (bytes < 0n || bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new DerError(`the size is ${bytes}`);
    if (sha256.length !== SHA256_OCTETS) throw new DerError(`the digest has ${sha256.length} octets`);
    return { bytes: Number(bytes), sha256: Uint8Array.from(sha256) };
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('firmware.malformed', { field: 'subject', seen: cause.message, cause });
    throw cause;
  }
}

/** Whether it is of the image with this SHA-256 and size. @throws KeysteadError `firmware.malformed`. */
export function isContentOf(subject: Uint8Array, image: { readonly sha256: string; readonly bytes: number }): boolean {
  const { bytes, sha256 } = readContentSubject(subject);
  return bytes === image.bytes && toHex(sha256) === image.sha256;
}

/** Hashes an image as a stream. */
export async function hashContent(image: ImageBytes): Promise<ContentSubject> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of piecesOf(image)) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest() };
}

/**
 * An image in pieces, hashed on the way: what comes out is what was signed, or it ends with the error.
 * @throws KeysteadError `firmware.malformed` when the image is another one than the subject tells of.
 */
export async function* contentOf(image: ImageBytes, subject: Uint8Array): AsyncGenerator<Uint8Array> {
  const expected = readContentSubject(subject);
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of piecesOf(image)) {
    hash.update(piece);
    bytes += piece.length;
    yield piece;
  }
  const seen = hash.digest();
  if (bytes === expected.bytes && seen.equals(expected.sha256)) return;
  throw malformed('image', `${bytes} bytes with SHA-256 ${seen.toString('hex')}, where another image was signed`);
}
