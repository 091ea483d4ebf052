import { CA_REVOCATION_REASONS } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { crl, issuerId, label, requestId, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;

/** Signs the indirect CRL of the root. The caller has no say in what stands on it. */
export const SignRootCrl = {
  params: z.strictObject({}),
  result: z.strictObject({
    /** DER. */
    crl,
    bytes: z.int().min(1),
    /** Hex. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    number: z.int(),
    thisUpdate: time,
    nextUpdate: time,
    /** How many certificates it lists. */
    entries: z.int().min(0),
  }),
};

/** What came of an order to revoke a CA. */
export const caRevocation = z.strictObject({
  ca: issuerId,
  reason: z.enum(CA_REVOCATION_REASONS),
  invalidityDate: time.optional(),
  order: z.string(),
  /** When; of an order that was carried out before, then. */
  at: time,
  by: label,
  approvers: z.array(label),
});

/** Revokes a CA between ceremonies, by an order that operators signed. */
export const RevokeCa = {
  params: z.strictObject({
    /** The statements as `signCaRevocation` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    requestId,
  }),
  result: caRevocation,
};
