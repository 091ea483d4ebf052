import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { bundleName, SIGNER_ALGORITHMS } from '../../trust/index.ts';
import type { Profile } from '../../x509/index.ts';
import type { ApprovalQuorum } from '../approval-quorum.ts';
import { ONLINE_CAS } from '../issuer.ts';
import { seconds } from '../keying.ts';
import { ROLES } from '../roles.ts';

/** Signers that stand in one bundle, at the most: docs/trust-bundle.md. */
const MOST_KEYS = 8;
const keyId = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,30}$/, 'must be 1 to 31 of a-z 0-9 . -');

const quorum = {
  /** How many people must agree, besides the one who asks. */
  approvals: z.int().min(1).max(16),
  /** Who may be one of them: holders of any of these roles. */
  roles: z.array(z.enum(ROLES)).min(1),
  /** Their approvals count only by keys that are held in hardware. */
  hardware: z.literal(true).optional(),
};

/** The trust bundles of one fleet: who signs them, who decides what stands in them, how long each holds. */
export const TrustPolicySchema = z.strictObject({
  fleet: bundleName,
  /** The keys of keyd that sign bundles. Which of them devices believe, and when, stands in the bundles. */
  keys: z
    .array(z.strictObject({ id: keyId, algorithm: z.enum(SIGNER_ALGORITHMS) }))
    .min(1)
    .max(MOST_KEYS),
  bundle: z.strictObject({
    /** How long a bundle holds. */
    seconds,
    /** After which share of that, in percent, keyd signs the same content anew without anybody's order. */
    refreshPercent: z.int().min(5).max(90),
    /** For how long devices may be away: a signer that is changed must still be believed for so long. */
    awaySeconds: seconds,
    /** The longest bundle, bytes. */
    maxBytes: z.int().min(512).max(16_384),
  }),
  /** Revocation filters; without it bundles name none. */
  filter: z
    .strictObject({
      /** Whose certificates it covers, each of a CA by every key that the CA has had. */
      issuers: z
        .array(z.enum(ONLINE_CAS))
        .min(1)
        .max(ONLINE_CAS.length)
        .refine((ids) => new Set(ids).size === ids.length, 'must name each CA once'),
      /** How long a filter holds. */
      seconds,
      /** How often one is built. A new revocation is in the next one. */
      everySeconds: seconds,
      /** After how many deltas one is built that stands alone; 0 for never a delta. */
      mostDeltas: z.int().min(0).max(64),
    })
    .optional(),
  ...quorum,
  /** Who may order what takes something from devices at once; without it nobody may. */
  strand: z.strictObject(quorum).optional(),
});
export type TrustPolicy = z.infer<typeof TrustPolicySchema>;
export type TrustKey = TrustPolicy['keys'][number];

interface WithTrust {
  readonly trust?: TrustPolicy | undefined;
}

/** @throws KeysteadError `trust-order.not-in-policy`. */
export function trustPolicy({ trust }: WithTrust): TrustPolicy {
  if (trust !== undefined) return trust;
  throw new KeysteadError('trust-order.not-in-policy', { field: 'trust', seen: 'a policy without the section' });
}

/**
 * How many people an order takes, and with which keys: one that strands devices takes the larger quorum.
 * @throws KeysteadError `trust-order.not-in-policy`, `trust-order.strand-forbidden`.
 */
export function trustQuorum(policy: WithTrust, { strand }: { readonly strand: boolean }): ApprovalQuorum {
  const trust = trustPolicy(policy);
  if (!strand) return trust;
  if (trust.strand === undefined)
    throw new KeysteadError('trust-order.strand-forbidden', { field: 'strand', seen: 'no quorum for it' });
  return { ...trust.strand, hardware: trust.hardware === true || trust.strand.hardware === true };
}

/** By how much the notBefore of a certificate that a filter covers may lie before the moment of issue, seconds. */
export const filterBackdateSeconds = (
  { profiles }: { readonly profiles: readonly Profile[] },
  { issuers }: Pick<NonNullable<TrustPolicy['filter']>, 'issuers'>,
): number =>
  Math.max(
    0,
    ...profiles
      .filter(({ issuer }) => issuers.some((ca) => ca === issuer))
      .map(({ validity }) => validity.backdateSeconds),
  );

const PREFIX = 'trust-';

/** The id in keyd's keystore of a key that signs bundles. */
export const trustKeystoreId = (id: string): string => `${PREFIX}${id}`;

/** The id in the policy of a key of keyd's keystore; undefined for one that signs no bundles. */
export const trustIdOf = (keystoreId: string): string | undefined =>
  keystoreId.startsWith(PREFIX) ? keystoreId.slice(PREFIX.length) : undefined;

/**
 * The name of the fleet stays: a device takes the bundles of its own fleet alone, so that under another name it would hear
 * of nothing any more.
 * @param fleet that of the policy, or of the bundles that were signed; undefined where there is none yet.
 * @throws KeysteadError `policy.fleet-changed`.
 */
export function requireSameFleet(
  fleet: string | undefined,
  { trust }: { readonly trust?: Pick<TrustPolicy, 'fleet'> | undefined },
): void {
  if (fleet === undefined || trust === undefined || trust.fleet === fleet) return;
  throw new KeysteadError('policy.fleet-changed', {
    field: 'trust.fleet',
    seen: `${trust.fleet}, where it is ${fleet}`,
  });
}
