import { KeysteadError } from '@keystead/core/errors';
import type { OnlineCa, Policy } from '@keystead/core/lifecycle';

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
 * Milliseconds since 1970: a certificate of this issuer that was revoked then or before has ended by itself, whatever
 * its profile, and has stood on a list since (RFC 5280 section 3.3), so a list need not name it any more. What has no
 * end is listed for ever.
 */
export function forgetBefore(policy: Policy, issuer: OnlineCa, now: Date): number {
  let longest = 0;
  for (const profile of policy.profiles) {
    if (profile.issuer !== issuer && profile.id !== 'ocsp-responder') continue;
    const { seconds } = profile.validity;
    longest = Math.max(longest, seconds === 'none' ? Number.POSITIVE_INFINITY : seconds);
  }
  return now.getTime() - (longest + policy.revocation.crlSeconds) * 1000;
}
