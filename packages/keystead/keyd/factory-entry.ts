import { COMMISSION_ACTS, COUNTER_KINDS, FACTORY_CUSTODIES, factoryName } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { hex, numbered } from './journal-fields.ts';
import { issuerId } from './wire-types.ts';

/** A certificate of a key of the node, DER in base64, and the key of headquarters that signed it. */
const certified = z.strictObject({ issuer: issuerId, certificate: z.base64() });

/**
 * An order of operators about a factory node that was carried out: its commission, a renewal, its end. What the factory
 * may do stands in the last entry that is no close; the file of each commission lies in `factories/`.
 */
export const FactoryEntry = z.strictObject({
  ...numbered,
  kind: z.literal('factory'),
  act: z.enum(COMMISSION_ACTS),
  factory: factoryName,
  /** Counted for each factory from 1. */
  number: z.int().min(1),
  order: z.string(),
  orderSha256: hex,
  requestSha256: hex,
  by: z.string(),
  approvers: z.array(z.string()),
  deviceIdPrefixes: z.array(z.string()).min(1),
  /** Where the node keeps its keys and what counts its units, as its request says. */
  custody: z.enum(FACTORY_CUSTODIES),
  counter: z.enum(COUNTER_KINDS),
  /** The verifier keys of the node's log. */
  log: z.strictObject({ vkey: z.string(), cosignVkey: z.string() }),
  /** At a close those that it had. */
  certified: z.strictObject({ manufacturing: certified, server: certified, evidence: certified }),
  /** SHA-256 of the commission's file. */
  commissionSha256: hex,
  /** At a close: whether the certificates of its CAs were revoked with it. */
  revoked: z.literal(true).optional(),
  requestId: z.string(),
});
export type FactoryJournalEntry = z.infer<typeof FactoryEntry>;
