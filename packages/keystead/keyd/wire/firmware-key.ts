import { FIRMWARE_KEY_CHANGES } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { label, requestId, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;

/**
 * Why a firmware key might go: the policy names it in no line, or a quorum killed it. The other two are of journals of before
 * docs/decisions/0045, when one operator could end it: what it says of a key must be what was ordered of it.
 */
export const DESTROYED_WHY = ['retired', 'killed', 'compromised', 'deactivated'] as const;

/** Kills a firmware key for good, or brings back a suspended one, by an order that operators signed. */
export const OrderFirmwareKey = {
  params: z.strictObject({
    /** The statements as `signFirmwareKeyStatement` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    requestId,
  }),
  result: z.strictObject({
    order: z.string(),
    /** The key's id in the policy, and in the keystore. */
    key: z.string(),
    keystoreId: z.string(),
    change: z.enum(FIRMWARE_KEY_CHANGES),
    /** When; of an order that was carried out before, then. */
    at: time,
    by: label,
    approvers: z.array(label),
    /** Serial of the certificate that the signing root gave it, hex: what the next list of the root is to name; or null. */
    certificateSerial: z.string().nullable(),
  }),
};
