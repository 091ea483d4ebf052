import { z } from 'zod';
import { bytes, spkiSha256 } from '../wire-types.ts';

/** The key that seals one of serve's own TLS keys. */
export const TlsSealingKey = {
  params: z.strictObject({
    /** The key that is sealed. */
    spkiSha256,
    /** By which master it is sealed; left out where it is to be sealed now. */
    master: z.int().min(1).max(0xffff).optional(),
  }),
  result: z.strictObject({
    /** AES-256; whoever gets it wipes it. */
    key: bytes(32),
    /** The master by which it is derived. */
    master: z.int(),
  }),
};
