import { fromBase64, toBase64 } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { HASH_BYTES } from './hash.ts';
import { cosignNote, type NoteSigner, openNote, signNote } from './note.ts';
import type { VerifierKey } from './verifier-key.ts';

/** The head of a log (C2SP tlog-checkpoint). */
export interface Checkpoint {
  /** The log's name, one line, for example `keystead.example/log`. */
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  /** Merkle tree hash, 32 bytes. */
  readonly root: Uint8Array;
}

/** A checkpoint whose signatures verified. */
export interface SignedCheckpoint extends Checkpoint {
  /** The note as it came. */
  readonly note: string;
  /** POSIX seconds: the earliest time that a known cosigner gave; undefined when none signed. */
  readonly timestamp?: number;
}

/** Who may sign the checkpoints of a log. */
export interface CheckpointKeys {
  /** The log's own key, type `ed25519`. Its name is the log's origin. */
  readonly log: VerifierKey;
  /** The key that says when, type `cosignature-v1`. When it is given, every checkpoint must carry it. */
  readonly cosigner?: VerifierKey;
}

/** The text of a checkpoint, without signatures. @throws KeysteadError `checkpoint.malformed`. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${toBase64(root)}\n`;
  parseCheckpoint(text);
  return text;
}

/**
 * Reads the text of a checkpoint. Extension lines are refused: this log writes none, and nobody audits them.
 * @throws KeysteadError `checkpoint.malformed`.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const match = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(text);
  if (match === null) throw new KeysteadError('checkpoint.malformed', { field: 'text', seen: text.slice(0, 120) });
  const [, origin = '', sizeText = '', rootText = ''] = match;
  const size = Number(sizeText);
  const root = fromBase64(rootText);
  if (!Number.isSafeInteger(size)) throw new KeysteadError('checkpoint.malformed', { field: 'size', seen: sizeText });
  if (root.length !== HASH_BYTES || toBase64(root) !== rootText) {
    throw new KeysteadError('checkpoint.malformed', { field: 'root', seen: rootText });
  }
  return { origin, size, root };
}

/**
 * Makes the note that a log publishes: the checkpoint, signed by the log (type 0x01) and, with the time, by the
 * cosigner (cosignature/v1, type 0x04). The two keys must differ. Whoever calls it must have made the tree durable
 * that it signs: a second note for the same size with another root is a fork, and proves the log dishonest.
 * @param timestamp POSIX seconds, not before that of the last checkpoint.
 * @throws KeysteadError `checkpoint.malformed` (also when the log signer's name is not the origin),
 * `note.key-malformed`; what a signer throws.
 */
export async function checkpointNote(
  checkpoint: Checkpoint,
  logSigner: NoteSigner,
  cosigner: NoteSigner,
  timestamp: number,
): Promise<string> {
  if (logSigner.name !== checkpoint.origin) {
    throw new KeysteadError('checkpoint.malformed', { field: 'origin', seen: checkpoint.origin });
  }
  return cosignNote(await signNote(formatCheckpoint(checkpoint), logSigner), cosigner, timestamp);
}

/**
 * Opens a note that should be a checkpoint of the log.
 * @throws KeysteadError `note.malformed`, `note.unknown-key` when the log's key (or the cosigner's, when one is
 * given) did not sign, `note.signature-invalid`, `checkpoint.malformed` when the text is no checkpoint or of
 * another log.
 */
export function openCheckpoint(note: string, { log, cosigner }: CheckpointKeys): SignedCheckpoint {
  const { text, signatures } = openNote(note, cosigner === undefined ? [log] : [log, cosigner]);
  for (const key of cosigner === undefined ? [log] : [log, cosigner]) {
    if (!signatures.some((signature) => signature.key === key)) {
      throw new KeysteadError('note.unknown-key', {
        field: 'signatures',
        seen: `no signature by ${key.name} ${key.id}`,
      });
    }
  }
  const checkpoint = parseCheckpoint(text);
  if (checkpoint.origin !== log.name) {
    throw new KeysteadError('checkpoint.malformed', { field: 'origin', seen: checkpoint.origin });
  }
  const times = signatures.flatMap(({ timestamp }) => (timestamp === undefined ? [] : [timestamp]));
  return { ...checkpoint, note, timestamp: times.length === 0 ? undefined : Math.min(...times) };
}
