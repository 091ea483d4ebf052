import { KeysteadError } from '@keystead/core/errors';
import { FACTORY_CAS, type OnlineCa, type Policy } from '@keystead/core/lifecycle';
import type { PolicyChain } from './policy-chain.ts';

/** No certificate of Keystead is older; an encoder of times must not be asked for the year 0. */
const EARLIEST = Date.UTC(2020, 0, 1);
/** How far the clock of the front end may be ahead, milliseconds. */
const AHEAD = 2000;

/** @throws KeysteadError `revocation.malformed` for a time that is in the future or before there was anything. */
export function requireRevocationTime(revokedAt: Date | undefined, now: Date, field: string): Date {
  const ms = revokedAt?.getTime() ?? Number.NaN;
  if (revokedAt !== undefined && ms >= EARLIEST && ms <= now.getTime() + AHEAD) return revokedAt;
  throw new KeysteadError('revocation.malformed', { field, seen: revokedAt?.toISOString() ?? 'no time' });
}

/**
 * What leaves a list: a certificate that has ended and has stood there since (RFC 5280 section 3.3). keyd goes by its own
 * word for it, and never by when a front end says that something was revoked. All times are milliseconds since 1970.
 */
export interface Forgetting {
  /** Now: what comes onto a list is listed since then. */
  readonly at: number;
  /** What keyd issued leaves the list when it had ended by then, */
  readonly endedBy: number;
  /** and was listed by then: before that nothing is looked at, whatever has ended. */
  readonly listedBy: number;
  /** Whatever was listed by then has ended, under whichever policy it was issued. */
  readonly allListedBy: number;
}

/** What may leave the lists of an issuer now. A certificate without an end is listed for ever. */
export function forgettingOf(
  { policy, policies }: { readonly policy: Policy; readonly policies: Pick<PolicyChain, 'founding' | 'steps'> },
  issuer: OnlineCa,
  now: Date,
): Forgetting {
  const at = now.getTime();
  const endedBy = at - policy.revocation.crlSeconds * 1000;
  const all = [policy, policies.founding.policy, ...policies.steps.map(({ file }) => file.policy)];
  return {
    at,
    endedBy,
    listedBy: endedBy - longestSeconds(policy, issuer) * 1000,
    allListedBy: endedBy - Math.max(...all.map((one) => longestSeconds(one, issuer))) * 1000,
  };
}

/** The longest life that a policy gives to a certificate of this CA. */
function longestSeconds({ profiles, factory }: Policy, issuer: OnlineCa): number {
  const lives = profiles
    .filter((profile) => profile.issuer === issuer || profile.id === 'ocsp-responder')
    .map(({ validity: { seconds } }) => (seconds === 'none' ? Number.POSITIVE_INFINITY : seconds));
  const certifies = FACTORY_CAS.some((ca) => ca === issuer);
  return Math.max(0, ...lives, certifies ? (factory?.maxSeconds ?? 0) : 0);
}
