import { sha256 } from '@keystead/core/crypto';
import { type Credential, datesOf } from '../state/index.ts';

/** The part of a certificate's life in which one that followed another is renewed. */
export const EARLIEST = 0.5;
export const LATEST = 0.75;
const WIDTH = LATEST - EARLIEST;
const MEAN = (EARLIEST + LATEST) / 2;

/**
 * When to renew `credential`: a point between 50 % and 75 % of its life, or, of one that follows no other, between 0 %
 * and 75 %. A fleet that is enrolled in one minute would otherwise come back as a wave, and again at each renewal: two and
 * a half times the mean. The first wait is therefore drawn as if the device had renewed for ever (the stationary
 * distribution of the time to the next event of a renewal process), and the fleet asks evenly from its first hour on.
 * docs/decisions/0052
 *
 * The point is taken from the certificate's own hash: spread evenly over a fleet, and the same again after a restart. A
 * certificate whose notBefore lies far back (backdating of very short lives) is used for at least a third of what was
 * left when it came, so that the device does not renew without pause.
 *
 * REQ-KEY-ROT-01.
 */
export function renewalTime(credential: Credential): Date {
  const { notBefore, notAfter } = datesOf(credential);
  const share = shareOf(credential);
  const received = Date.parse(credential.receivedAt);
  const end = notAfter.getTime();
  if (credential.fresh === true) return new Date(received + (end - received) * stationary(share));
  const point = notBefore.getTime() + (end - notBefore.getTime()) * (EARLIEST + WIDTH * share);
  return new Date(Math.max(point, received + (end - received) / 3));
}

/** A number from 0 on and below 1, from the certificate's hash: even over a fleet. */
function shareOf({ certificate }: Credential): number {
  const [hash = 0] = new Uint32Array(Uint8Array.from(sha256(certificate)).buffer, 0, 1);
  return hash / 2 ** 32;
}

/** In which the server would have a credential renewed: a rotation is under way (as RFC 9773 section 4.2). */
export interface RenewalWindow {
  readonly start: Date;
  readonly end: Date;
}

/** As {@link renewalTime}, or earlier: the point in the window that the certificate's hash gives. */
function dueTime(credential: Credential, window: RenewalWindow | undefined): Date {
  const own = renewalTime(credential);
  if (window === undefined) return own;
  const [start, end] = [window.start.getTime(), window.end.getTime()];
  return new Date(Math.min(own.getTime(), start + (end - start) * shareOf(credential)));
}

/**
 * The inverse of the stationary distribution's function: its density is even up to {@link EARLIEST} and falls from there to
 * nothing at {@link LATEST}. Both in parts of a life.
 */
function stationary(share: number): number {
  const even = EARLIEST / MEAN;
  return share < even ? share * MEAN : LATEST - Math.sqrt((1 - share) * 2 * WIDTH * MEAN);
}

/** What a device should do about its credential now. */
export type RenewalNeed =
  /** The current credential is young enough; look again at this time. */
  | { readonly need: 'none'; readonly until: Date }
  /** Ask with the current credential. */
  | { readonly need: 'renew' }
  /** No usable LDevID: ask with the IDevID. */
  | { readonly need: 'enrol'; readonly why: 'first' | 'expired' | 'issuer-revoked' }
  /** Expired for longer than the grace period: only people can help. */
  | { readonly need: 'people'; readonly expiredAt: Date };

/**
 * Decides from the current credential, the time, and the window that a server has suggested for it. `graceSeconds` counts
 * from the end of the certificate.
 */
export function renewalNeed(
  current: Credential | undefined,
  now: Date,
  graceSeconds: number,
  suggested?: RenewalWindow,
): RenewalNeed {
  if (current === undefined) return { need: 'enrol', why: 'first' };
  const { notAfter } = datesOf(current);
  if (now.getTime() > notAfter.getTime() + graceSeconds * 1000) return { need: 'people', expiredAt: notAfter };
  if (now.getTime() > notAfter.getTime()) return { need: 'enrol', why: 'expired' };
  const due = dueTime(current, suggested);
  return now.getTime() < due.getTime() ? { need: 'none', until: due } : { need: 'renew' };
}
