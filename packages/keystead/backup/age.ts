import { fromBase64, toBase64 } from '@keystead/core/bytes';
import {
  constantTimeEqual,
  hmacSha256,
  hpkeOpen,
  p256Point,
  p256Spki,
  randomBytes,
  SecretBytes,
  sha256,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { bech32 } from '@scure/base';
import { armor, Decrypter, Encrypter, type Identity, identityToRecipient, type Stanza } from 'age-encryption';
import type { KeyAgreement } from '../keystore/index.ts';

/**
 * What is encrypted here is an age file (C2SP age, age-encryption.org/v1), by typage: whoever holds the key can open it
 * with the `age` command alone. typage and its ciphers are JavaScript, whose strings and copies cannot be wiped.
 */

/** A key that opens age files: the text of an X25519 identity, or any other that typage takes. */
export type AgeIdentity = string | Identity;

/** A fresh X25519 identity, `AGE-SECRET-KEY-1…`, ASCII, and its recipient. @throws KeysteadError `rng.unhealthy`. */
export async function newIdentity(): Promise<{ identity: SecretBytes; recipient: string }> {
  const scalar = randomBytes(32);
  const text = bech32.encodeFromBytes('AGE-SECRET-KEY-', scalar).toUpperCase();
  scalar.fill(0);
  return { identity: SecretBytes.take(Buffer.from(text, 'latin1')), recipient: await identityToRecipient(text) };
}

/** The recipient of an identity's text. @throws KeysteadError `key.malformed`. */
export async function recipientOf(identity: SecretBytes): Promise<string> {
  try {
    return await identityToRecipient(textOf(identity));
  } catch {
    throw new KeysteadError('key.malformed', { field: 'age identity' });
  }
}

/** The identity as typage takes it: a string, which cannot be wiped. */
export const textOf = (identity: SecretBytes): string =>
  identity.use((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'));

/** An age file for one recipient. @param plaintext stays with the caller. */
export async function encryptTo(recipient: string, plaintext: SecretBytes): Promise<Uint8Array> {
  randomBytes(32).fill(0); // typage draws its keys by itself: only after the generator has passed its test
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter.encrypt(plaintext.use((bytes) => Uint8Array.from(bytes)));
}

/** A stream of ciphertext for one recipient, with memory that does not grow with it. */
export async function encryptStream(
  recipient: string,
  plaintext: ReadableStream<Uint8Array>,
): Promise<ReadableStream<Uint8Array>> {
  randomBytes(32).fill(0);
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter.encrypt(plaintext);
}

/** The plaintext of a stream. @throws Error of typage, also while it is read. */
export function decryptStream(
  identity: AgeIdentity,
  ciphertext: ReadableStream<Uint8Array>,
): Promise<ReadableStream<Uint8Array>> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return decrypter.decrypt(ciphertext);
}

/** The plaintext of an age file, or undefined when none of the identities opens it or it is no whole age file. */
export async function decryptWith(
  identities: readonly AgeIdentity[],
  file: Uint8Array,
): Promise<SecretBytes | undefined> {
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  try {
    return SecretBytes.take(await decrypter.decrypt(file));
  } catch (error) {
    // What a token or a TPM has to say is told; that a file is not for this key is the answer.
    if (error instanceof KeysteadError) throw error;
    return undefined;
  }
}

/** An age file as text (`-----BEGIN AGE ENCRYPTED FILE-----`), and back. */
export const toArmor = (file: Uint8Array): string => armor.encode(file);

/** @throws KeysteadError `backup.share-malformed`. */
export function fromArmor(text: string): Uint8Array {
  try {
    return armor.decode(text);
  } catch {
    throw new KeysteadError('backup.share-malformed', { field: 'age file', seen: 'no armored age file' });
  }
}

const P256TAG = 'p256tag';
const P256TAG_LABEL = Buffer.from('age-encryption.org/p256tag', 'latin1');

/**
 * Opens files that are encrypted to `age1tag1…` with a private key that agrees and is not seen: in software, in a
 * token, in a TPM. The stanza is C2SP age's own `p256tag` (HPKE to a P-256 key, with a tag that says whose it is).
 */
export class P256Identity implements Identity {
  readonly #key: KeyAgreement;
  readonly #point: Uint8Array;
  readonly #compressedHash: Uint8Array;

  /** @throws KeysteadError `key.algorithm-mismatch` for a key on another curve. */
  constructor(key: KeyAgreement) {
    this.#key = key;
    this.#point = p256Point(key.spki);
    const parity = ((this.#point[64] ?? 0) & 1) === 1 ? 3 : 2;
    this.#compressedHash = sha256(Buffer.concat([Buffer.of(parity), this.#point.subarray(1, 33)])).subarray(0, 4);
  }

  async unwrapFileKey(stanzas: Stanza[]): Promise<Uint8Array | null> {
    for (const stanza of stanzas) {
      const [type, tag = '', encapsulated = ''] = stanza.args;
      if (type !== P256TAG || stanza.args.length !== 3) continue;
      const enc = unpadded(encapsulated);
      const wanted = unpadded(tag);
      if (enc?.length !== 65 || wanted === undefined || !constantTimeEqual(this.#tagOf(enc), wanted)) continue;
      using dh = await this.#key.agree(p256Spki(enc));
      try {
        using fileKey = hpkeOpen({ dh, enc, recipient: this.#point, info: P256TAG_LABEL }, stanza.body);
        return fileKey.use((bytes) => Uint8Array.from(bytes));
      } catch {
        // Four bytes of a tag can be another's by chance.
      }
    }
    return null;
  }

  /** HKDF-Extract (RFC 5869) of the label over the encapsulated key and the recipient's short hash. */
  #tagOf(enc: Uint8Array): Uint8Array {
    using label = SecretBytes.copy(P256TAG_LABEL);
    return hmacSha256(label, Buffer.concat([enc, this.#compressedHash])).subarray(0, 4);
  }
}

/** C2SP age: base64 without padding, canonical. */
function unpadded(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return toBase64(bytes).replace(/=+$/, '') === text ? fromBase64(toBase64(bytes)) : undefined;
}
