import { z } from 'zod';
import { bytes, issuerId, reason, time } from '../wire-types.ts';

/** Signs an OCSP response. */
export const SignOcsp = {
  params: z.strictObject({
    issuer: issuerId,
    responses: z
      .array(
        z.strictObject({
          /** CertID, DER, as the request had it: it is echoed. */
          certId: bytes(1024),
          status: z.enum(['good', 'revoked', 'unknown']),
          revokedAt: time.optional(),
          reason: reason.optional(),
        }),
      )
      .min(1)
      .max(16),
    /** RFC 9654 section 2.1: 1 to 128 octets. */
    nonce: bytes(128)
      .refine((nonce) => nonce.length > 0, 'must be 1 to 128 octets')
      .optional(),
  }),
  result: z.strictObject({
    /** OCSPResponse, DER. */
    response: bytes(),
    thisUpdate: time,
    nextUpdate: time,
  }),
};
