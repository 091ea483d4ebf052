import { type KeyRecord, stateAt } from './inventory.ts';
import type { KeyPurposeId } from './key-purposes.ts';
import type { Cryptoperiod } from './keying.ts';
import { cryptoperiodOf, custodyOf, type Policy } from './policy.ts';

/** 99991231235959Z, milliseconds: what a certificate says that has no end (RFC 5280 section 4.1.2.5). */
const NO_END_MS = 253_402_300_799_000;

/** Purposes whose keys sign what is of use only while their certificate can be checked. */
const UNTIL_THE_CERTIFICATE_ENDS: ReadonlySet<KeyPurposeId> = new Set([
  'root-ca',
  'signing-root-ca',
  'manufacturing-ca',
  'operational-ca',
  'server-ca',
  'operator-ca',
  'ocsp-responder',
  'tls-server',
  'device-idevid',
  'device-ldevid',
]);

/**
 * Keys that something else ends in time: their certificate, which peers refuse afterwards, the device, or the process.
 * Of these one is reported before its end, but none is ever overdue.
 */
const ENDS_BY_ITSELF: ReadonlySet<KeyPurposeId> = new Set([
  'ocsp-responder',
  'transcript-signer',
  'tls-server',
  'operator',
  'station',
  'device-idevid',
  'device-ldevid',
  'device-storage',
  'session',
]);

/** The ends of both usage periods, milliseconds since 1970; null for none. */
export interface UsagePeriods {
  readonly originatorEnd: number | null;
  readonly recipientEnd: number | null;
}

/**
 * The usage periods of a key (SP 800-57 pt 1 r5 section 5.3.5): both begin with its activation, and the one of the
 * originator never outlasts the certificate. REQ-KEY-POL-01
 * @param activatedAt milliseconds since 1970.
 * @param certificateEnd notAfter of its certificate, milliseconds; none for a key without one.
 */
export function usagePeriods(period: Cryptoperiod, activatedAt: number, certificateEnd?: number): UsagePeriods {
  const end = certificateEnd === undefined || certificateEnd >= NO_END_MS ? null : certificateEnd;
  const after = (seconds: number | 'none'): number | null => (seconds === 'none' ? null : activatedAt + seconds * 1000);
  const recipient = after(period.recipientSeconds);
  return {
    originatorEnd: earlier(after(period.originatorSeconds), end),
    recipientEnd: UNTIL_THE_CERTIFICATE_ENDS.has(period.purpose) ? earlier(recipient, end) : recipient,
  };
}

const earlier = (a: number | null, b: number | null): number | null => {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
};

/** What a key asks of the people who answer for it. */
export interface Attention {
  /** `due`: its end is near, or it is suspended. `overdue`: what had to be done was not. */
  readonly level: 'none' | 'due' | 'overdue';
  readonly why: string;
}

const NOTHING: Attention = { level: 'none', why: '' };

/**
 * Whether a key needs somebody now: its cryptoperiod ends within the warning time of the policy, or has ended and no
 * successor took over; it is compromised without a successor; it is suspended, or has been for longer than the policy
 * bears. A key with a successor asks for nothing. REQ-KEY-POL-01
 * @throws KeysteadError `policy.purpose-missing`
 */
export function attentionOf(record: KeyRecord, policy: Policy, now: Date): Attention {
  if (record.successor !== null) return NOTHING;
  const state = stateAt(record, now);
  // A key that is kept goes on when its certificate has ended, by the next one.
  const itself = ENDS_BY_ITSELF.has(record.purpose) && record.evidence.kept !== true;
  switch (state) {
    case 'pre-activation':
    case 'destroyed':
      return NOTHING;
    case 'compromised':
      return itself
        ? NOTHING
        : { level: 'overdue', why: `compromised since ${day(record.dates.compromisedAt)}, and it has no successor` };
    case 'deactivated':
      // What was deactivated on purpose was meant to end.
      if (itself || record.state === 'deactivated') return NOTHING;
      return {
        level: 'overdue',
        why: `its originator usage period ended ${day(record.originatorEnd)}, and it has no successor`,
      };
    case 'suspended': {
      const borne = (record.dates.suspendedAt ?? 0) + policy.grace.suspendedSeconds * 1000;
      const why = `suspended since ${day(record.dates.suspendedAt)}: to be resumed or revoked by ${day(borne)}`;
      return { level: now.getTime() > borne ? 'overdue' : 'due', why };
    }
    case 'active': {
      const warnAt = warningAt(record, policy);
      if (warnAt === null || now.getTime() < warnAt) return NOTHING;
      return { level: 'due', why: `its originator usage period ends ${day(record.originatorEnd)}` };
    }
  }
}

/** From when on the end of a key's originator usage period is warned of, milliseconds; null for a key without an end. */
export function warningAt({ purpose, originatorEnd }: KeyRecord, policy: Policy): number | null {
  return originatorEnd === null ? null : originatorEnd - cryptoperiodOf(policy, purpose).warnSeconds * 1000;
}

/** Whether the policy lets a key live where it lives. */
export const isInAllowedCustody = ({ purpose, custody }: KeyRecord, policy: Policy): boolean =>
  custodyOf(policy, purpose).allowed.some((place) => place === custody);

const day = (ms: number | null): string => (ms === null ? 'an unknown day' : new Date(ms).toISOString().slice(0, 10));
