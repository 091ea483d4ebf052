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
export const proofFor = async (dir: string, seq: number, keys: CheckpointKeys): Promise<InclusionProof> =>
  new LogProver(dir, keys).proof(seq);

/** Tiles and bundles that are kept: neighbours in the log share theirs. A bundle is seldom more than 256 KiB. */
const MOST_KEPT = 32;

/**
 * Makes proofs of many entries out of the log's files: the checkpoint is opened once, and again when an entry lies behind
 * it; of the tiles the last ones are kept, so that memory does not grow with their number.
 */
export class LogProver {
  readonly #files: LogDirectory;
  readonly #keys: CheckpointKeys;
  readonly #kept = new Map<string, Promise<Uint8Array | undefined>>();
  #checkpoint: SignedCheckpoint | undefined;

  /** @param dir the directory of the published log. */
  constructor(dir: string, keys: CheckpointKeys) {
    this.#files = new LogDirectory(dir);
    this.#keys = keys;
  }

  /** As {@link proofFor}, and it throws what that throws. */
  async proof(seq: number): Promise<InclusionProof> {
    if (this.#checkpoint === undefined || seq >= this.#checkpoint.size) await this.#open();
    const checkpoint = this.#checkpoint;
    if (checkpoint === undefined) throw new KeysteadError('log.out-of-range', { field: 'seq', seen: 'an empty log' });
    const { size } = checkpoint;
    const read = (path: string): Promise<Uint8Array | undefined> => this.#read(path);
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
    verifyProof(proof, this.#keys, () => checkpoint);
    return proof;
  }

  async #open(): Promise<void> {
    const note = await this.#files.read('checkpoint');
    if (note === undefined) return;
    this.#checkpoint = openCheckpoint(Buffer.from(note).toString('utf8'), this.#keys);
    // A partial tile may have grown since.
    this.#kept.clear();
  }

  #read(path: string): Promise<Uint8Array | undefined> {
    const known = this.#kept.get(path);
    const reading = known ?? this.#files.read(path);
    this.#kept.delete(path);
    this.#kept.set(path, reading);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return reading;
  }
}

/**
 * Verifies a proof offline. REQ-KEY-AUD-01
 * @param proof what `proofFor` gave, after JSON.parse; anything else is refused.
 * @param open opens its checkpoint; one that remembers spares two signatures for each proof of the same checkpoint.
 * @throws KeysteadError `log.proof-invalid`, `log.entry-malformed`, `note.*`, `checkpoint.*`.
 */
export function verifyProof(
  proof: unknown,
  keys: CheckpointKeys,
  open: (note: string, keys: CheckpointKeys) => SignedCheckpoint = openCheckpoint,
): { readonly entry: AuditEntry; readonly checkpoint: SignedCheckpoint } {
  const parsed = ProofSchema.safeParse(proof);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new KeysteadError('log.proof-invalid', { field: issue?.path.join('.'), seen: issue?.message });
  }
  const { index, entry: text, hashes, checkpoint: note } = parsed.data;
  const checkpoint = open(note, keys);
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
