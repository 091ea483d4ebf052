import { z } from 'zod';
import { certificate, issuerId, serial, spkiSha256, time } from '../wire-types.ts';

/** A certificate as keyd gives it out, after reading back what it signed. */
export const Issued = z.strictObject({
  certificate,
  /** The key of the CA that signed it. */
  issuer: issuerId,
  spkiSha256,
  serial,
  notBefore: time,
  /** 9999-12-31T23:59:59.000Z for a certificate without an end. */
  notAfter: time,
});
