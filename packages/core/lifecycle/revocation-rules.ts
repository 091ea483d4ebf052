import { KeysteadError } from '../errors/index.ts';
import type { ApprovalQuorum } from './agreement.ts';
import type { RevocationAct } from './certificate-states.ts';
import type { Policy } from './policy.ts';
import type { GivenReason, RevocationSelectorKind, RevocationsAlone } from './revocation-authority.ts';

/** Who asks: an operator, or whoever holds the certificate: its device, the owner of its key or account. */
export type RevocationParty = 'operator' | 'holder';

/**
 * Which reasons may be given of what, and by whom (RFC 5280 section 5.3.1). `cACompromise` is for a CA only. A holder
 * tells of itself: that somebody withdrew its privilege is not for it to say.
 */
export const REASON_RULES: Readonly<
  Record<GivenReason, Readonly<Record<RevocationParty, readonly RevocationSelectorKind[]>>>
> = {
  unspecified: { operator: ['certificate', 'key', 'device', 'batch', 'ca'], holder: ['certificate'] },
  keyCompromise: { operator: ['certificate', 'key', 'device', 'batch'], holder: ['certificate', 'key'] },
  cACompromise: { operator: ['ca'], holder: [] },
  affiliationChanged: { operator: ['certificate', 'key', 'device', 'batch'], holder: ['certificate'] },
  superseded: { operator: ['certificate', 'key', 'device', 'batch', 'ca'], holder: ['certificate'] },
  cessationOfOperation: { operator: ['certificate', 'key', 'device', 'batch', 'ca'], holder: ['certificate'] },
  privilegeWithdrawn: { operator: ['certificate', 'key', 'device', 'batch'], holder: [] },
};

/** A hold is for what one person can look at and release: not for a batch, and never for a CA. */
const HOLDABLE: readonly RevocationSelectorKind[] = ['certificate', 'key', 'device'];

/** What is asked for, as the rules look at it. */
export interface RevocationKind {
  readonly selector: RevocationSelectorKind;
  readonly act: RevocationAct;
  /** Only of a revocation. */
  readonly reason?: GivenReason;
}

/**
 * Whether such an act exists, and this party may ask for it.
 * @throws KeysteadError `revocation.reason-forbidden`, `revocation.hold-forbidden`.
 */
export function requireRevocationKind({ selector, act, reason }: RevocationKind, party: RevocationParty): void {
  if (act === 'revoke') {
    if (reason !== undefined && REASON_RULES[reason][party].includes(selector)) return;
    const seen = `${reason ?? 'no reason'} of a ${selector} by ${party === 'holder' ? 'its holder' : 'an operator'}`;
    throw new KeysteadError('revocation.reason-forbidden', { field: 'reason', seen });
  }
  if (reason !== undefined) {
    throw new KeysteadError('revocation.reason-forbidden', { field: 'reason', seen: `${reason}, of a ${act}` });
  }
  if (HOLDABLE.includes(selector) && party === 'operator') return;
  throw new KeysteadError('revocation.hold-forbidden', {
    field: act,
    seen: `a ${selector}, by ${party === 'holder' ? 'its holder' : 'an operator'}`,
  });
}

/**
 * What the policy asks for. Where it says nothing, one CA operator does for a certificate, a key and a device; a batch
 * and a CA take the quorum of the revocation of a CA, but for a demonstration. REQ-KEY-SOD-02
 */
export function revocationQuorum(policy: Policy, kind: RevocationKind): ApprovalQuorum {
  const rule = policy.revocation.authority?.find(
    ({ selectors, acts, reasons }) =>
      selectors.includes(kind.selector) &&
      (acts === undefined || acts.includes(kind.act)) &&
      (reasons === undefined || (kind.reason !== undefined && reasons.includes(kind.reason))),
  );
  if (rule !== undefined) return rule;
  const large = kind.selector === 'batch' || kind.selector === 'ca';
  if (large && !policy.demonstration) return policy.quorums['ca-revocation'];
  return { approvals: 0, roles: [] };
}

/** Where the policy says nothing: far more than one person revokes in a day, and far fewer than a batch. */
const REVOKED_ALONE: RevocationsAlone = { certificates: 1000, seconds: 86_400 };

/**
 * What keyd lists with this reason on the word of its front end. Where one operator may revoke a batch with it, there is no
 * limit; where the policy asks others to agree to every revocation and no holder can give the reason, nothing is listed
 * so. REQ-KEY-SOD-02
 */
export function listedAlone(
  policy: Policy,
  reason: GivenReason | 'certificateHold',
): RevocationsAlone | 'all' | 'none' {
  const quorum = (selector: RevocationSelectorKind): number =>
    revocationQuorum(
      policy,
      reason === 'certificateHold' ? { selector, act: 'hold' } : { selector, act: 'revoke', reason },
    ).approvals;
  const small = ['certificate', 'key', 'device'] as const;
  const byHolder = reason !== 'certificateHold' && REASON_RULES[reason].holder.length > 0;
  if (!byHolder && small.every((selector) => quorum(selector) > 0)) return 'none';
  if (policy.revocation.alone !== undefined) return policy.revocation.alone;
  return quorum('batch') === 0 ? 'all' : REVOKED_ALONE;
}

/** Who must agree, in words. */
export const revocationQuorumText = ({ approvals, roles, hardware }: ApprovalQuorum): string =>
  approvals === 0
    ? 'one CA operator'
    : `one CA operator and ${approvals} of ${roles.join(', ')}${hardware === true ? ' with keys held in hardware' : ''}`;

/** RFC 5280 section 5.3.2: when the key was lost or the certificate became invalid, which is not in the future. */
export function requireInvalidityDate(invalidityDate: Date | undefined, now: Date): void {
  if (invalidityDate === undefined) return;
  const ms = invalidityDate.getTime();
  // No certificate of Keystead is older.
  if (ms >= Date.UTC(2020, 0, 1) && ms <= now.getTime()) return;
  throw new KeysteadError('revocation.invalidity-date', {
    field: 'invalidityDate',
    seen: Number.isNaN(ms) ? 'no time' : invalidityDate.toISOString(),
  });
}
