import { sha256 } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import type { Credential } from '../state/index.ts';

/** The part of a certificate's life in which it is renewed. */
export const EARLIEST = 0.5;
export const LATEST = 0.75;

/**
 * When to renew `credential`: a point between 50 % and 75 % of its life. The point is taken from the
 * certificate's own hash: spread evenly over a fleet that was enrolled in the same minute, and the same again
 * after a restart. A certificate whose notBefore lies far back (backdating of very short lives) is used for at
 * least a third of what was left when it came, so that the device does not renew without pause.
 *
 * REQ-KEY-ROT-01.
 */
export function renewalTime(credential: Credential): Date {
  const { notBefore, notAfter } = readCertificate(credential.certificate);
  const received = Date.parse(credential.receivedAt);
  const [hash = 0] = new Uint32Array(Uint8Array.from(sha256(credential.certificate)).buffer, 0, 1);
  const part = EARLIEST + (LATEST - EARLIEST) * (hash / 2 ** 32);
  const point = notBefore.getTime() + (notAfter.getTime() - notBefore.getTime()) * part;
  return new Date(Math.max(point, received + (notAfter.getTime() - received) / 3));
}

/** What a device should do about its credential now. */
export type RenewalNeed =
  /** The current credential is young enough; look again at this time. */
  | { readonly need: 'none'; readonly until: Date }
  /** Ask with the current credential. */
  | { readonly need: 'renew' }
  /** No usable LDevID: ask with the IDevID. */
  | { readonly need: 'enrol'; readonly why: 'first' | 'expired' }
  /** Expired for longer than the grace period: only people can help. */
  | { readonly need: 'people'; readonly expiredAt: Date };

/** Decides from the current credential and the time alone. `graceSeconds` counts from the end of the certificate. */
export function renewalNeed(current: Credential | undefined, now: Date, graceSeconds: number): RenewalNeed {
  if (current === undefined) return { need: 'enrol', why: 'first' };
  const { notAfter } = readCertificate(current.certificate);
  if (now.getTime() > notAfter.getTime() + graceSeconds * 1000) return { need: 'people', expiredAt: notAfter };
  if (now.getTime() > notAfter.getTime()) return { need: 'enrol', why: 'expired' };
  const due = renewalTime(current);
  return now.getTime() < due.getTime() ? { need: 'none', until: due } : { need: 'renew' };
}
