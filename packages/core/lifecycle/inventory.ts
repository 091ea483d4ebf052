import type { SpkiSha256 } from '../bytes/index.ts';
import type { KeyDates } from './key-history.ts';
import type { KeyPurposeId } from './key-purposes.ts';
import { KEY_STATES, type KeyState } from './key-states.ts';

/** What else is known of a key: attributes as a token, a certificate or a ceremony tells them. Never a secret. */
export type KeyEvidence = Readonly<Record<string, string | number | boolean>>;

/**
 * The record of one key, or pair of keys, in the inventory: SP 800-57 pt 1 r5 section 6.2.3 (metadata) and SP 800-130
 * section 6.2.1. Times are milliseconds since 1970, UTC. REQ-KEY-POL-01
 */
export interface KeyRecord {
  /** Its name in the inventory: `ca-operational`, `operator:pki`, `device:KS-1 ldevid`. */
  readonly id: string;
  /** Names the key for ever; null for a symmetric key, which has its `id` alone. */
  readonly spkiSha256: SpkiSha256 | null;
  readonly purpose: KeyPurposeId;
  readonly algorithm: string;
  /** Security strength in bits (SP 800-57 pt 1 r5 table 2); 0 where it is not known. */
  readonly strengthBits: number;
  /** Where the private or secret half lives. */
  readonly custody: string;
  /** The cryptographic module around it and its FIPS 140-3 validation, `none`, or `not attested`. */
  readonly fips140: string;
  /** `device:<id>`, `operator:<name>`, `system:<process>` or `ceremony:<safe>`. */
  readonly owner: string;
  /** As recorded. What it is now, {@link stateAt} says: periods end by themselves. */
  readonly state: KeyState;
  readonly dates: KeyDates;
  /** When it may last protect (sign, encrypt, wrap, issue); null before its activation and where it has no end. */
  readonly originatorEnd: number | null;
  /** When what it protected may last be processed (verified, decrypted, answered for). */
  readonly recipientEnd: number | null;
  /** The `id` or SPKI hash of the key that took over. */
  readonly successor: string | null;
  readonly evidence: KeyEvidence;
}

type Timed = Pick<KeyRecord, 'state' | 'dates' | 'originatorEnd' | 'recipientEnd'>;

/**
 * The state of a key at `now`. A key whose originator usage period has ended is deactivated, whether or not a job has
 * come by to write it down (SP 800-57 pt 1 r5 section 7.4).
 */
export function stateAt({ state, originatorEnd }: Timed, now: Date): KeyState {
  const ended = originatorEnd !== null && now.getTime() >= originatorEnd;
  return ended && (state === 'active' || state === 'suspended') ? 'deactivated' : state;
}

/** Whether a use is allowed, and why or why not, as a sentence for people. */
export interface UseVerdict {
  readonly allowed: boolean;
  readonly why: string;
}

/** What may be done with a key at one moment. */
export interface KeyUses {
  readonly state: KeyState;
  /** Sign, encrypt, wrap, agree; of a CA: issue certificates. */
  readonly protect: UseVerdict;
  /** Verify, decrypt, unwrap; of a CA also: sign CRLs and OCSP answers about what it issued (docs/decisions/0015). */
  readonly process: UseVerdict;
}

/** What may be done with a key at `now`, by its state and its usage periods. REQ-KEY-POL-01 */
export function usesAt(record: Timed, now: Date): KeyUses {
  const state = stateAt(record, now);
  const { protect, process, meaning } = KEY_STATES[state];
  const { originatorEnd } = record;
  const ended = state !== record.state && originatorEnd !== null;
  const why = ended ? `its originator usage period ended ${iso(originatorEnd)}` : meaning;
  const refused = { allowed: false, why: `${state}: ${why}` };
  return {
    state,
    protect: protect ? { allowed: true, why: until(record.originatorEnd) } : refused,
    process: process ? processVerdict(record, now) : refused,
  };
}

function processVerdict({ recipientEnd }: Timed, now: Date): UseVerdict {
  if (recipientEnd === null || now.getTime() < recipientEnd) return { allowed: true, why: until(recipientEnd) };
  return { allowed: false, why: `its recipient usage period ended ${iso(recipientEnd)}` };
}

const until = (end: number | null): string => (end === null ? 'without an end' : `until ${iso(end)}`);
const iso = (ms: number): string => new Date(ms).toISOString();
