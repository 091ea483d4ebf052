import { z } from 'zod';
import { bytes, requestId } from '../wire-types.ts';

/** What a factory node says of itself to headquarters: all of it is keyd's own word. */
export const SignHello = {
  params: z.strictObject({ requestId }),
  /** As `signHello` writes it. */
  result: z.strictObject({ document: z.string() }),
};

/** A policy that was put in force after that of the ceremony, with the statements of its quorum: for a factory node. */
export const PolicyUpdate = {
  params: z.strictObject({ version: z.int().min(1) }),
  result: z.strictObject({
    /** Null where no such version was put in force here. */
    update: z
      .strictObject({
        /** The very bytes of its file. */
        policy: bytes(4 * 1024 * 1024),
        approvals: z.string(),
      })
      .nullable(),
  }),
};
