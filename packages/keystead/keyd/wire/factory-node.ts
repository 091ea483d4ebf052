import { z } from 'zod';
import { certificate, crl, time } from '../wire-types.ts';

const list = z.strictObject({
  ca: z.enum(['root', 'manufacturing', 'server', 'operator']),
  number: z.int(),
  thisUpdate: time,
  nextUpdate: time,
});

/** How a factory node stands, in keyd's `status`. */
export const factoryStatus = z.strictObject({
  name: z.string(),
  /** The number of the commission that it works by. */
  commission: z.int(),
  closed: z.boolean(),
  deviceIdPrefixes: z.array(z.string()),
  /** When the certificates of its sub-CAs end. */
  ends: z.strictObject({ manufacturing: time, server: time }),
  /** What it has heard of headquarters' revocations, and how long it may go on by that. */
  crls: z.array(list),
  goodUntil: time,
});

/** What a node hangs on, in keyd's `trust`. */
export const factoryTrust = z.strictObject({
  name: z.string(),
  /** What its servers are called: its server sub-CA names no other host. */
  serverNames: z.array(z.string()),
  /** Headquarters' CAs that certified the node's two. */
  above: z.strictObject({ manufacturing: certificate, server: certificate }),
  /** Who signs commissions and receipts at headquarters. */
  headquartersEvidence: certificate,
  /** The CRLs of headquarters that keyd goes by. */
  crls: z.array(list.extend({ crl })),
});

/** Newer CRLs of headquarters for a factory node, however they came. */
export const TakeCrls = {
  params: z.strictObject({ crls: z.array(crl).min(1).max(16) }),
  result: z.strictObject({
    lists: z.array(list),
    /** Those that are new here. */
    fresh: z.array(list.shape.ca),
    goodUntil: time,
  }),
};
