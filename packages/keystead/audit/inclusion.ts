import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CheckpointKeys,
  inclusionProof,
  leafHash,
  openCheckpoint,
  type SignedCheckpoint,
  TILE_WIDTH,
  tileHashReader,
  tileWidth,
  verifyInclusion,
} from '@keystead/core/log';
import { z } from 'zod';
import { type AuditEntry, parseEntry } from './entry.ts';
import { LogDirectory } from './log-directory.ts';
import { bundlesOf, tilesOf } from './log-reader.ts';

const ProofSchema = z.strictObject({
  format: z.literal('keystead-log-proof/1'),
  /** Index of the entry in the log. */
  index: z.int().min(0),
  /** The entry: its canonical JSON text. Its UTF-8 bytes are the leaf. */
  entry: z.string().max(65_535),
  /** RFC 6962 audit path, base64, from the leaf's sibling to the root's child. */
  hashes: z.array(z.base64().length(44)).max(63),
  /** A signed checkpoint, verbatim: the note as the log published it. */
  checkpoint: z.string(),
});

/** That one entry is in the log: everything a verifier needs besides the log's public keys. JSON. */
export type InclusionProof = z.infer<typeof ProofSchema>;

/**
 * The proof that the entry `seq` is in the published log, out of the log's files.
 * @throws KeysteadError `log.out-of-range` when no published checkpoint covers it yet, `log.malformed` when a file is
 * missing or damaged, `log.proof-invalid` when the files do not lead to the checkpoint, `note.*`, `checkpoint.*`.
 */
export async function proofFor(dir: string, seq: number, keys: CheckpointKeys): Promise<InclusionProof> {
  const files = new LogDirectory(dir);
  const read = (path: string): Promise<Uint8Array | undefined> => files.read(path);
  const note = await read('checkpoint');
  if (note === undefined) throw new KeysteadError('log.out-of-range', { field: 'seq', seen: 'an empty log' });
  const checkpoint = openCheckpoint(Buffer.from(note).toString('utf8'), keys);
  const { size } = checkpoint;
  const hashes = await inclusionProof(seq, size, tileHashReader(size, tilesOf(read)));
  const bundle = Math.floor(seq / TILE_WIDTH);
  const entries = await bundlesOf(read)(bundle, tileWidth('entries', bundle, size));
  const entry = entries[seq - bundle * TILE_WIDTH];
  if (entry === undefined) throw new KeysteadError('log.malformed', { field: `entry ${seq}`, seen: 'no such entry' });
  const proof: InclusionProof = {
    format: 'keystead-log-proof/1',
    index: seq,
    entry: Buffer.from(entry).toString('utf8'),
    hashes: hashes.map(toBase64),
    checkpoint: checkpoint.note,
  };
  verifyProof(proof, keys);
  return proof;
}

/**
 * Verifies a proof offline. REQ-KEY-AUD-01
 * @param proof what `proofFor` gave, after JSON.parse; anything else is refused.
 * @throws KeysteadError `log.proof-invalid`, `log.entry-malformed`, `note.*`, `checkpoint.*`.
 */
export function verifyProof(
  proof: unknown,
  keys: CheckpointKeys,
): { readonly entry: AuditEntry; readonly checkpoint: SignedCheckpoint } {
  const parsed = ProofSchema.safeParse(proof);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new KeysteadError('log.proof-invalid', { field: issue?.path.join('.'), seen: issue?.message });
  }
  const { index, entry: text, hashes, checkpoint: note } = parsed.data;
  const checkpoint = openCheckpoint(note, keys);
  const bytes = Buffer.from(text);
  if (!verifyInclusion(leafHash(bytes), index, checkpoint.size, hashes.map(fromBase64), checkpoint.root)) {
    throw new KeysteadError('log.proof-invalid', { field: 'hashes', seen: `entry ${index}` });
  }
  const entry = parseEntry(bytes);
  if (entry.seq !== index) throw new KeysteadError('log.proof-invalid', { field: 'seq', seen: String(entry.seq) });
  return { entry, checkpoint };
}

/** The same proof as text in the form of c2sp.org/tlog-proof@v1; the entry itself travels apart. */
export function formatTlogProof({ index, hashes, checkpoint }: InclusionProof): string {
  return ['c2sp.org/tlog-proof@v1', `index ${index}`, ...hashes, '', checkpoint].join('\n');
}
