import { IMPRINT_HASH_NAMES, MOST_NONCE_OCTETS } from '@keystead/core/x509';
import { z } from 'zod';
import { bytes, requestId, serial, time } from '../wire-types.ts';

/**
 * A time stamp of a digest (RFC 3161). Time, serial number, policy and accuracy are keyd's own; of the caller come the
 * digest and what goes back as it came.
 */
export const SignTimestamp = {
  params: z.strictObject({
    hash: z.enum(IMPRINT_HASH_NAMES),
    /** As many octets as the hash has. */
    imprint: bytes(64),
    /** Dotted; the TSA's own, where the request names one. */
    policy: z
      .string()
      .regex(/^[0-2](?:\.\d{1,10}){1,32}$/)
      .optional(),
    /** The content octets of an INTEGER, DER. */
    nonce: bytes(MOST_NONCE_OCTETS).optional(),
    /** Whether the token shall hold the certificate of the TSA, with that of its CA. */
    certReq: z.boolean(),
    requestId,
  }),
  result: z.strictObject({
    /** TimeStampToken, DER. */
    token: bytes(),
    serial,
    /** To the second. */
    time,
  }),
};
