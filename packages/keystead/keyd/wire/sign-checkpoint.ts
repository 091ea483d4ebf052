import { z } from 'zod';
import { bytes } from '../wire-types.ts';

/** Appends leaves to the log and signs its new checkpoint. */
export const SignCheckpoint = {
  params: z.strictObject({
    /** The size of the tree before these leaves. */
    size: z.int().min(0),
    /** RFC 6962 leaf hashes, 32 bytes each, in order. */
    leaves: z.array(bytes(32)).max(100_000),
  }),
  result: z.strictObject({
    /** A signed note (C2SP tlog-checkpoint) with keyd's timestamped cosignature. */
    checkpoint: z.string(),
    size: z.int(),
  }),
};
