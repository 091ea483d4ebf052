import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Commission, firstIssue, parseCommission } from '@keystead/core/lifecycle';
import { z } from 'zod';
import type { Layout } from '../../files/layout.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** What the keyd of a node remembers of headquarters: hashes that everything else must match. */
const NodePinsSchema = z.strictObject({
  version: z.literal(1),
  /** SHA-256 of the root's certificate, for which a person vouched. */
  rootSha256: hash,
  /** SHA-256 of the request that was answered. */
  requestSha256: hash,
  /** SHA-256 of each key that was certified. */
  keys: z.strictObject({ manufacturing: hash, server: hash, evidence: hash }),
  /** The policy of the first commission; later ones come with their approvals. */
  policySha256: hash,
  /** The verifier keys of this node's log. */
  vkey: z.string(),
  cosignVkey: z.string(),
  /** SHA-256 of the file of each commission that was imported, the oldest first. */
  commissions: z.array(z.strictObject({ number: z.int().min(1), sha256: hash, importedAt: z.string() })).min(1),
  /** While `trust/` may still be as it was before the last import. */
  publishing: z.boolean(),
});
export type NodePins = z.infer<typeof NodePinsSchema>;

export const nodePinsPath = (layout: Layout): string => join(layout.keyd, 'commission.json');
/** keyd's own copy of a commission. */
export const commissionCopy = (layout: Layout, number: number): string =>
  join(layout.keyd, 'commissions', `${String(number).padStart(4, '0')}.json`);

/**
 * What was pinned when a commission was imported; undefined before the first.
 * @throws KeysteadError `keyd.not-ready` when the file is damaged.
 */
export function readNodePins(layout: Layout): NodePins | undefined {
  const path = nodePinsPath(layout);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new KeysteadError('keyd.not-ready', { field: path, cause: error });
  }
  const parsed = NodePinsSchema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  const { field, seen } = firstIssue(parsed.error, 'the file');
  throw new KeysteadError('keyd.not-ready', { field: path, seen: `${field}: ${seen}`, cause: parsed.error });
}

/** The commission that a node works by: the last, and what its pins say of it. */
export const currentCommission = ({ commissions }: NodePins): NodePins['commissions'][number] => {
  const last = commissions.at(-1);
  if (last === undefined) throw new TypeError('pins without a commission');
  return last;
};

/** @throws KeysteadError `bundle.altered` when keyd's copy is not what it pinned. */
export function readCommissionCopy(layout: Layout, pins: NodePins): Commission {
  const { number, sha256: pinned } = currentCommission(pins);
  const path = commissionCopy(layout, number);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('bundle.altered', { field: path, seen: 'no readable file', cause });
  }
  const seen = toHex(sha256(bytes));
  if (seen !== pinned) throw new KeysteadError('bundle.altered', { field: path, seen });
  return parseCommission(Buffer.from(bytes).toString('utf8')).content;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
