import { fromBase64, toBase64, toHex } from '../bytes/index.ts';
import type { Signer } from '../crypto/index.ts';
import { verifySignature } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { isKeyName, type NoteSignatureType, type VerifierKey, verifierKey } from './verifier-key.ts';

/** The largest note that is read, UTF-16 units: a checkpoint with 16 signatures is far below it. */
export const MAX_NOTE_LENGTH = 64 * 1024;
/** C2SP signed-note, Format: at least 16 must be taken; more than this is not a note of ours. */
const MAX_SIGNATURES = 64;
const ED25519_BYTES = 64;

/** A private key that signs notes under a name. */
export interface NoteSigner {
  readonly name: string;
  /** Ed25519. */
  readonly signer: Signer;
}

/** One signature line, not verified. */
export interface NoteSignature {
  readonly name: string;
  /** 8 lower-case hex digits. */
  readonly keyId: string;
  /** What follows the key id. */
  readonly bytes: Uint8Array;
}

export interface ParsedNote {
  /** Ends in a newline; it is what is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** One signature that verified. */
export interface VerifiedSignature {
  readonly key: VerifierKey;
  /** POSIX seconds at which a cosigner signed; undefined for a signature without a time. */
  readonly timestamp?: number;
}

/**
 * Signs `text` as C2SP signed-note says (Ed25519, type 0x01). Returns the whole note.
 * @throws KeysteadError `note.malformed` for a text that a note cannot carry, `note.key-malformed`.
 */
export async function signNote(text: string, ...signers: NoteSigner[]): Promise<string> {
  checkText(text);
  const lines = await Promise.all(
    signers.map(async ({ name, signer }) =>
      signatureLine(verifierKey(name, 'ed25519', signer.spki), await signer.sign(Buffer.from(text))),
    ),
  );
  return `${text}\n${lines.join('')}`;
}

/**
 * Adds a witness's timestamped signature (C2SP tlog-cosignature, cosignature/v1) to a note.
 * @param timestamp POSIX seconds at which the note was signed.
 * @throws KeysteadError `note.malformed`, `note.key-malformed`.
 */
export async function cosignNote(note: string, cosigner: NoteSigner, timestamp: number): Promise<string> {
  const { text } = parseNote(note);
  const key = verifierKey(cosigner.name, 'cosignature-v1', cosigner.signer.spki);
  const signature = await cosigner.signer.sign(cosignedMessage(text, timestamp));
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(timestamp));
  return note + signatureLine(key, Buffer.concat([time, signature]));
}

/** Takes a note apart; no signature is verified. @throws KeysteadError `note.malformed`. */
export function parseNote(note: string): ParsedNote {
  if (note.length > MAX_NOTE_LENGTH) throw new KeysteadError('note.malformed', { seen: `${note.length} characters` });
  // The last empty line: a text may hold empty lines too.
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) throw new KeysteadError('note.malformed', { field: 'note' });
  const text = note.slice(0, split + 1);
  checkText(text);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new KeysteadError('note.malformed', { field: 'signatures' });
  return { text, signatures: lines.map(parseSignatureLine) };
}

/**
 * Opens a note: its text and the signatures by `keys`. Signatures by keys that are not among them are passed over.
 * @throws KeysteadError `note.malformed`; `note.unknown-key` when none of `keys` signed;
 * `note.signature-invalid` when a signature by one of them does not verify, whatever the others say.
 */
export function openNote(
  note: string,
  keys: readonly VerifierKey[],
): { text: string; signatures: readonly VerifiedSignature[] } {
  const { text, signatures } = parseNote(note);
  const verified: VerifiedSignature[] = [];
  for (const signature of signatures) {
    const key = keys.find((one) => one.name === signature.name && one.id === signature.keyId);
    if (key === undefined) continue;
    const seen = VERIFY[key.type](text, signature.bytes, key);
    if (seen === undefined) throw new KeysteadError('note.signature-invalid', { field: key.name, seen: key.id });
    verified.push(seen);
  }
  if (verified.length === 0) {
    const seen = signatures.map(({ name, keyId }) => `${name} ${keyId}`).join(', ');
    throw new KeysteadError('note.unknown-key', { field: 'signatures', seen: seen.slice(0, 200) });
  }
  return { text, signatures: verified };
}

type Verify = (text: string, bytes: Uint8Array, key: VerifierKey) => VerifiedSignature | undefined;

const VERIFY: Readonly<Record<NoteSignatureType, Verify>> = {
  ed25519: (text, bytes, key) => (verifySignature('Ed25519', key.spki, Buffer.from(text), bytes) ? { key } : undefined),
  'cosignature-v1': (text, bytes, key) => {
    if (bytes.length !== 8 + ED25519_BYTES) return undefined;
    const timestamp = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
    if (!Number.isSafeInteger(timestamp)) return undefined;
    return verifySignature('Ed25519', key.spki, cosignedMessage(text, timestamp), bytes.subarray(8))
      ? { key, timestamp }
      : undefined;
  },
};

/** C2SP tlog-cosignature, Ed25519 signed message. */
function cosignedMessage(text: string, timestamp: number): Uint8Array {
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) {
    throw new KeysteadError('note.malformed', { field: 'timestamp', seen: String(timestamp) });
  }
  return Buffer.from(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

const signatureLine = (key: VerifierKey, signature: Uint8Array): string =>
  `— ${key.name} ${toBase64(Buffer.concat([Buffer.from(key.id, 'hex'), signature]))}\n`;

function parseSignatureLine(line: string): NoteSignature {
  const match = /^— (\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
  const [, name = '', base64 = ''] = match ?? [];
  try {
    const bytes = fromBase64(base64);
    if (isKeyName(name) && bytes.length > 4 && toBase64(bytes) === base64) {
      return { name, keyId: toHex(bytes.subarray(0, 4)), bytes: bytes.slice(4) };
    }
  } catch {
    // Told below: what is not base64 is no signature line either.
  }
  throw new KeysteadError('note.malformed', { field: 'signature line', seen: line.slice(0, 80) });
}

function checkText(text: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the format forbids exactly these.
  if (!text.endsWith('\n') || !text.isWellFormed() || /[\u0000-\u0009\u000b-\u001f]/.test(text)) {
    throw new KeysteadError('note.malformed', { field: 'text' });
  }
}
