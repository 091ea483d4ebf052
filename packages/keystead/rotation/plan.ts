import { canonicalJson, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { firstIssue, isIssuerId } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { CAMPAIGN_KINDS, type CampaignKind } from './kinds.ts';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 letters, digits, . _ -');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const YEARS_25 = 25 * 365 * 86_400;
const seconds = z.int().min(0).max(YEARS_25);
const share = z.number().gt(0).max(1);

/** Which devices are in a ring: all that its one criterion takes and that are in no ring before it. */
const RingSchema = z.union([
  z.strictObject({ name, share }),
  z.strictObject({ name, products: z.array(z.string().min(1).max(64)).min(1).max(64) }),
  z.strictObject({ name, batches: z.array(name).min(1).max(256) }),
  z.strictObject({ name, devices: z.array(name).min(1).max(10_000) }),
]);
export type Ring = z.output<typeof RingSchema>;

/**
 * What is rotated, by which steps and within which limits. It never changes: its hash names the campaign to those who
 * sign, and another plan is another campaign.
 */
export const PlanSchema = z.strictObject({
  v: z.literal(1),
  id: name,
  kind: z.enum(CAMPAIGN_KINDS),
  /** In the words of its kind. */
  target: name,
  /** SHA-256 of the SubjectPublicKeyInfo of the old key and of its successor, for the kinds of the trust bundle. */
  old: hash.optional(),
  next: hash.optional(),
  /** The key in the safe that is pinned besides them. */
  backup: hash.optional(),
  /** The algorithm of the new keys, for the kind `algorithm`. */
  algorithm: z.string().min(1).max(32).optional(),
  /** Of each product the least security counter of a firmware that can do what comes. */
  firmware: z.record(z.string().min(1).max(64), z.int().min(0).max(0xffff_ffff)).optional(),
  reason: z.string().min(1).max(500),
  /** After a compromise of the CA: it starts only when a quorum has revoked the CA, and waits for nothing. */
  emergency: z.boolean().default(false),
  /** In their order; a last one with every other device is added where the rings do not take all. */
  rings: z.array(RingSchema).max(16).default([]),
  /** Over how long the devices of a ring are spread. */
  spreadSeconds: seconds.default(86_400),
  /** How long after that a device is late. */
  patienceSeconds: seconds.default(7 * 86_400),
  /** The part of a ring that has moved before the next one opens. */
  uptakeShare: share.default(0.98),
  /** So many devices of a ring may fail; one more, and the campaign pauses by itself. */
  mostFailures: z.int().min(0).max(1_000_000).default(0),
  /** From the start to the first moment at which the old one may be retired. */
  transitionSeconds: seconds.default(90 * 86_400),
  /** A device that was not heard of for so long is taken to be away. */
  unseenSeconds: seconds.default(30 * 86_400),
});
export type Plan = z.output<typeof PlanSchema>;
export type PlanDraft = z.input<typeof PlanSchema>;

const BUNDLE_KINDS: readonly CampaignKind[] = ['root', 'server-keys', 'firmware-keys'];

/** @throws KeysteadError `rotation.malformed` with the field, `rotation.backup-pin`, `rotation.target`. */
export function planOf(value: unknown): Plan {
  const parsed = PlanSchema.safeParse(value);
  if (!parsed.success) {
    throw new KeysteadError('rotation.malformed', { ...firstIssue(parsed.error, 'plan'), cause: parsed.error });
  }
  const plan = parsed.data;
  requireFields(plan);
  const names = plan.rings.map((ring) => ring.name);
  if (names.includes(REST)) throw malformed('rings', `the name ${REST} is that of the devices in no other ring`);
  const twice = names.find((one, index) => names.indexOf(one) !== index);
  if (twice !== undefined) throw malformed('rings', `${twice} twice`);
  return plan;
}

function requireFields(plan: Plan): void {
  const { kind, target, old, next, backup, algorithm, firmware, emergency } = plan;
  if (kind === 'issuing-ca' && !isIssuerId(target)) {
    throw new KeysteadError('rotation.target', { field: 'target', seen: `${target}, no key of a CA of keyd` });
  }
  if (kind === 'root' && target !== 'root' && target !== 'signing-root') {
    throw new KeysteadError('rotation.target', { field: 'target', seen: `${target}, no root` });
  }
  if (emergency && kind !== 'issuing-ca')
    throw malformed('emergency', `${kind}, where only an issuing CA has this path`);
  if (kind === 'algorithm') {
    if (algorithm === undefined) throw malformed('algorithm', 'none');
    if (firmware === undefined) throw malformed('firmware', 'none: which firmware can do it must be known');
  }
  if (!BUNDLE_KINDS.includes(kind)) return;
  if (old === undefined) throw malformed('old', 'none');
  if (next === undefined) throw malformed('next', 'none');
  if (old === next) throw malformed('next', 'the old key');
  if (kind !== 'server-keys') return;
  if (backup === undefined || backup === old || backup === next) {
    throw new KeysteadError('rotation.backup-pin', { field: 'backup', seen: backup ?? 'none' });
  }
}

/** The ring of every device that no other one takes. */
export const REST = 'rest';

/** The names of the rings of a plan, in their order. */
export const ringNames = ({ rings }: Plan): string[] => [...rings.map((ring) => ring.name), REST];

/** A plan in its one encoding (RFC 8785), and its hash. */
export function encodedPlan(plan: Plan): { readonly text: string; readonly sha256: string } {
  const text = canonicalJson(plan);
  return { text, sha256: toHex(sha256(Buffer.from(text, 'utf8'))) };
}

const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('rotation.malformed', { field, seen });
