import { fromBase64, sameBytes, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CheckpointKeys,
  consistencyProof,
  type HashReader,
  openCheckpoint,
  type SignedCheckpoint,
  verifyConsistency,
} from '@keystead/core/log';
import { z } from 'zod';

const ForkSchema = z.strictObject({
  format: z.literal('keystead-fork-proof/1'),
  /** Two notes that the log signed, verbatim; the older one is of the smaller size, or the same. */
  older: z.string(),
  newer: z.string(),
  /** Only for different sizes: the root that the newer tree has over the older one's size, base64. */
  prefixRoot: z.base64().length(44).optional(),
  /** Only for different sizes: the consistency proof of that prefix with the newer tree (RFC 9162 2.1.4), base64. */
  consistency: z.array(z.base64().length(44)).max(64).optional(),
});

/**
 * That the log has shown two histories: two checkpoints, both validly signed, of which the newer does not begin with
 * the older. It needs nothing but the log's public key to check, and no honest log can be accused by one. JSON.
 */
export type ForkProof = z.infer<typeof ForkSchema>;

/**
 * Makes the proof from two opened checkpoints.
 * @param prefixRoot the root over `older.size` leaves of the tree that has `newer`'s root.
 * @param hashes reads the tree of `newer`; asked only when the sizes differ.
 * @throws KeysteadError `log.proof-invalid` when the two do agree; what `hashes` throws.
 */
export async function forkProof(
  older: SignedCheckpoint,
  newer: SignedCheckpoint,
  prefixRoot: Uint8Array,
  hashes: HashReader,
  keys: CheckpointKeys,
): Promise<ForkProof> {
  const notes = { format: 'keystead-fork-proof/1', older: older.note, newer: newer.note } as const;
  const proof: ForkProof =
    older.size === newer.size
      ? notes
      : {
          ...notes,
          prefixRoot: toBase64(prefixRoot),
          consistency: (await consistencyProof(older.size, newer.size, hashes)).map(toBase64),
        };
  verifyForkProof(proof, keys);
  return proof;
}

/**
 * Verifies that `proof` convicts the log; returns the two checkpoints.
 * @param proof what `forkProof` gave, after JSON.parse; anything else is refused.
 * @throws KeysteadError `log.proof-invalid` when nothing is proven; `note.*`, `checkpoint.*` when a note is not the
 * log's.
 */
export function verifyForkProof(
  proof: unknown,
  keys: CheckpointKeys,
): { readonly older: SignedCheckpoint; readonly newer: SignedCheckpoint } {
  const parsed = ForkSchema.safeParse(proof);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new KeysteadError('log.proof-invalid', { field: issue?.path.join('.'), seen: issue?.message });
  }
  const { prefixRoot, consistency } = parsed.data;
  // The log's own signature convicts it; a cosigner's adds nothing.
  const [older, newer] = [parsed.data.older, parsed.data.newer].map((note) => openCheckpoint(note, { log: keys.log }));
  if (older === undefined || newer === undefined) throw new KeysteadError('log.proof-invalid');
  const forked =
    older.size === newer.size
      ? !sameBytes(older.root, newer.root)
      : prefixRoot !== undefined &&
        consistency !== undefined &&
        older.size > 0 &&
        !sameBytes(fromBase64(prefixRoot), older.root) &&
        verifyConsistency(older.size, newer.size, fromBase64(prefixRoot), newer.root, consistency.map(fromBase64));
  if (!forked) throw new KeysteadError('log.proof-invalid', { field: 'fork', seen: 'two checkpoints that may agree' });
  return { older, newer };
}
