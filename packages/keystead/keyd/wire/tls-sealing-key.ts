import { z } from 'zod';
import { bytes, spkiSha256 } from '../wire-types.ts';

/** The key that seals one of serve's own TLS keys. */
export const TlsSealingKey = {
  params: z.strictObject({
    /** The key that is sealed. */
    spkiSha256,
    /** Whether it is to be sealed now, and not opened. */
    forNew: z.boolean(),
  }),
  result: z.strictObject({
    /** AES-256; whoever gets it wipes it. */
    key: bytes(32),
  }),
};
