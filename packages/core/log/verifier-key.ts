import type { DerSpki } from '../bytes/index.ts';
import { fromBase64, toBase64, toHex } from '../bytes/index.ts';
import { ed25519Octets, ed25519Spki, sha256 } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';

/** The kinds of signature that Keystead knows: of a note as such, and of a witness with the time of signing. */
export type NoteSignatureType = 'ed25519' | 'cosignature-v1';

/** C2SP signed-note, Signature types. */
const TYPE_BYTE: Readonly<Record<NoteSignatureType, number>> = { ed25519: 0x01, 'cosignature-v1': 0x04 };

/** A public key that notes are checked with. */
export interface VerifierKey {
  readonly name: string;
  readonly type: NoteSignatureType;
  /** The key id, 8 lower-case hex digits: SHA-256(name ‖ LF ‖ type ‖ key)[:4]. */
  readonly id: string;
  readonly spki: DerSpki;
}

/** RFC 8032 section 5.1.5. */
const KEY_BYTES = 32;

/** A key name is not empty and holds no blank, no plus and no control character (C2SP signed-note, Format). */
export const isKeyName = (name: string): boolean =>
  name.length > 0 && name.length <= 255 && name.isWellFormed() && !/[\s\p{Cc}\p{Z}+]/u.test(name);

/**
 * The verifier key of a public key under a name.
 * @param spki SubjectPublicKeyInfo, DER, of an Ed25519 key.
 * @throws KeysteadError `note.key-malformed` for another kind of key or a name that notes cannot carry.
 */
export function verifierKey(name: string, type: NoteSignatureType, spki: DerSpki): VerifierKey {
  if (!isKeyName(name)) throw new KeysteadError('note.key-malformed', { field: 'name', seen: name.slice(0, 80) });
  return { name, type, id: toHex(keyId(name, type, rawKey(spki))), spki };
}

/** The text form `name+id+base64(type ‖ key)` (C2SP signed-note, vkey). @throws KeysteadError `note.key-malformed`. */
export function formatVerifierKey(name: string, type: NoteSignatureType, spki: DerSpki): string {
  const { id } = verifierKey(name, type, spki);
  return `${name}+${id}+${toBase64(Buffer.concat([Uint8Array.of(TYPE_BYTE[type]), rawKey(spki)]))}`;
}

/**
 * Reads the text form; blanks around it are passed over.
 * @throws KeysteadError `note.key-malformed` when the form, the type or the id is wrong.
 */
export function parseVerifierKey(text: string): VerifierKey {
  const malformed = (field: string, cause?: unknown): KeysteadError =>
    new KeysteadError('note.key-malformed', { field, seen: text.trim().slice(0, 120), cause });
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text.trim());
  if (match === null) throw malformed('vkey');
  const [, name = '', id = '', material = ''] = match;
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(material);
  } catch (cause) {
    throw malformed('key', cause);
  }
  if (toBase64(bytes) !== material) throw malformed('key');
  const type = (Object.keys(TYPE_BYTE) as NoteSignatureType[]).find((one) => TYPE_BYTE[one] === bytes[0]);
  if (type === undefined || bytes.length !== 1 + KEY_BYTES) throw malformed('type');
  const key = verifierKey(name, type, ed25519Spki(bytes.subarray(1)));
  if (key.id !== id) throw malformed('id');
  return key;
}

/** The verifier keys of a file with one in each line; empty lines are passed over. @throws KeysteadError `note.key-malformed`. */
export const parseVerifierKeys = (text: string): VerifierKey[] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseVerifierKey);

function rawKey(spki: DerSpki): Uint8Array {
  const key = ed25519Octets(spki);
  if (key === undefined)
    throw new KeysteadError('note.key-malformed', { field: 'spki', seen: 'a key that is not Ed25519' });
  return key;
}

function keyId(name: string, type: NoteSignatureType, key: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), Uint8Array.of(TYPE_BYTE[type]), key])).subarray(0, 4);
}
