import type { SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  cryptoperiodOf,
  generatedKey,
  type KeyChange,
  type KeyPurposeId,
  type KeyStanding,
  latestDate,
  ONLINE_CAS,
  type OnlineCa,
  type Policy,
  requestName,
  type SignedKeyOrder,
  stateAt,
  stepKey,
  type UsagePeriods,
  usagePeriods,
  usesAt,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeyInfo } from '../keystore/index.ts';
import { PURPOSES } from './custody.ts';
import type { Hierarchy } from './hierarchy.ts';
import type { KeyJournalEntry } from './journal-entry.ts';

/**
 * The log's keys are stopped by an order and not by a date: a log that falls silent would hide what goes on, which is
 * worse than a late signature. `keystead verify` fails instead.
 */
const NOT_STOPPED_BY_DATE: ReadonlySet<string> = new Set(['log', 'log-cosign']);

/** What becomes of a key's events: who ordered them, and why. */
export interface KeyChangeTold {
  readonly change: KeyChange;
  readonly at: Date;
  readonly by: string;
  readonly reason: string;
  readonly requestId: string;
}

/** A key of keyd's as the ledger tells it. */
export interface LedgerKey extends UsagePeriods {
  readonly info: KeyInfo;
  readonly spkiSha256: SpkiSha256;
  readonly purpose: KeyPurposeId;
  readonly activatedAt: number;
  readonly changes: readonly KeyChangeTold[];
}

interface Held extends Omit<LedgerKey, keyof UsagePeriods> {
  readonly certificateEnd: number | undefined;
  standing: KeyStanding;
  readonly changes: KeyChangeTold[];
}

/**
 * The state of each key that keyd holds: what it may still be used for, by its usage periods and by what was ordered.
 * Orders stand in the journal and are made again from it at each start, so that a front end can neither lift a
 * suspension nor make keyd forget one. REQ-KEY-POL-01, REQ-KEY-STO-03
 */
export class KeyLedger {
  readonly #policy: () => Policy;
  readonly #keys: ReadonlyMap<string, Held>;

  /**
   * @param keys all keys of the keystore.
   * @param policy the one in force at each use: another one has other periods.
   */
  constructor(hierarchy: Hierarchy, keys: readonly KeyInfo[], policy: () => Policy) {
    this.#policy = policy;
    this.#keys = new Map(keys.map((info) => [info.id, held(hierarchy, info)]));
  }

  /** Takes an entry of the journal into account, at a start. One about a key that is no longer here says nothing. */
  replay(entry: KeyJournalEntry): void {
    const key = this.#keys.get(entry.key);
    if (key === undefined || key.spkiSha256 !== entry.spkiSha256) return;
    const { change, by, reason, requestId } = entry;
    this.#apply(key, { change, at: new Date(entry.time), by, reason, requestId });
  }

  /**
   * Whether the key may be used so now. `process` of a CA is to answer for what it issued: CRLs, OCSP and the
   * certificates of its OCSP responders, which go on after it may issue no more (RFC 5280 section 3.3, RFC 6960
   * section 4.2.2.2; docs/decisions/0015).
   * @throws KeysteadError `key.use-forbidden` for a state that was ordered, `key.cryptoperiod-ended` for a period that
   *   is over; both name `keystead keys`.
   */
  require(id: string, use: 'protect' | 'process', now: Date): void {
    const key = this.#held(id);
    const timed = this.#timed(key);
    const verdict = usesAt(timed, now)[use];
    if (verdict.allowed) return;
    const remedy = `keystead keys show ${id} tells its state, dates and history; docs/keys.md says what can be done`;
    // Not by an order: its time is over.
    if (stateAt(timed, now) !== key.standing.state || use === 'process') {
      throw new KeysteadError('key.cryptoperiod-ended', { field: id, seen: verdict.why, remedy });
    }
    const last = key.changes.at(-1);
    const by = last === undefined ? '' : ` (${last.by}: ${last.reason})`;
    throw new KeysteadError('key.use-forbidden', { field: id, seen: `${verdict.why}${by}`, remedy });
  }

  /** Whether a CA's key is known to be in foreign hands: then it vouches for nothing. */
  isCompromised(issuer: OnlineCa): boolean {
    return this.#held(requestName(issuer)).standing.state === 'compromised';
  }

  /**
   * Carries out an order. It is one synchronous step: whatever asks after it sees the new state.
   * @returns the key's id, and what takes the change back, for when it could not be written down.
   * @throws KeysteadError `keystore.key-missing`, `key-order.stale` when the order is for an earlier moment of the key,
   *   `key-order.signer-forbidden`, `key.transition-forbidden`; nothing is changed then.
   */
  change({ order, signer }: SignedKeyOrder, requestId: string, now: Date): { id: string; undo: () => void } {
    const key = [...this.#keys.values()].find((one) => one.spkiSha256 === order.spkiSha256);
    if (key === undefined)
      throw new KeysteadError('keystore.key-missing', { field: 'spkiSha256', seen: order.spkiSha256 });
    if (order.after !== key.changes.length) {
      const seen = `${order.after}, and the key has had ${key.changes.length} changes`;
      throw new KeysteadError('key-order.stale', { field: 'after', seen });
    }
    // Two people: whoever stopped a key does not bring it back alone.
    if (order.change === 'resume' && key.changes.at(-1)?.by === signer) {
      throw new KeysteadError('key-order.signer-forbidden', { field: 'resume', seen: `${signer}, who suspended it` });
    }
    const before = key.standing;
    try {
      // An end that came by itself is an end: what has run out is not suspended any more.
      const timed = this.#timed(key);
      if (stateAt(timed, now) === 'deactivated' && before.state !== 'deactivated') {
        key.standing = stepKey(before, { event: 'deactivate', at: timed.originatorEnd ?? now.getTime() });
      }
      const { change, reason } = order;
      this.#apply(key, { change, at: now, by: signer, reason, requestId });
    } catch (error) {
      key.standing = before;
      throw error;
    }
    const count = order.after;
    const undo = (): void => {
      // What followed on it goes with it: the journal failed for both.
      if (key.changes.length <= count) return;
      key.changes.length = count;
      key.standing = before;
    };
    return { id: key.info.id, undo };
  }

  /** Every key, in the order in which they were made. */
  list(): LedgerKey[] {
    return [...this.#keys.values()].map((key) => ({ ...key, ...this.#periods(key), changes: [...key.changes] }));
  }

  #apply(key: Held, told: KeyChangeTold): void {
    // A clock that was set back by a moment is no reason to refuse a stop, nor to fail at a start.
    const at = Math.max(told.at.getTime(), latestDate(key.standing.dates));
    key.standing = stepKey(key.standing, { event: told.change, at });
    key.changes.push(told);
  }

  /** The key as its state is told by time too. */
  #timed(key: Held): KeyStanding & UsagePeriods {
    const dated = !NOT_STOPPED_BY_DATE.has(key.info.id);
    return { ...key.standing, ...(dated ? this.#periods(key) : { originatorEnd: null, recipientEnd: null }) };
  }

  #periods({ purpose, activatedAt, certificateEnd }: Held): UsagePeriods {
    return usagePeriods(cryptoperiodOf(this.#policy(), purpose), activatedAt, certificateEnd);
  }

  #held(id: string): Held {
    const key = this.#keys.get(id);
    if (key === undefined) throw new KeysteadError('keystore.key-missing', { field: 'key', seen: id });
    return key;
  }
}

function held(hierarchy: Hierarchy, info: KeyInfo): Held {
  const generatedAt = Date.parse(info.createdAt);
  const { from, end } = certified(hierarchy, info);
  const activatedAt = Math.max(generatedAt, from);
  const standing = stepKey(generatedKey(generatedAt), { event: 'activate', at: activatedAt });
  return {
    info,
    spkiSha256: spkiSha256(info.spki),
    purpose: PURPOSES[info.id] ?? 'wrapping',
    activatedAt,
    certificateEnd: end,
    standing,
    changes: [],
  };
}

/** When a key came into use, and when its certificate ends. A certificate is dated back, by what its profile says. */
function certified({ certificates, evidenceSigner, policy, pins }: Hierarchy, { id }: KeyInfo) {
  const role = ONLINE_CAS.find((one) => requestName(one) === id);
  const certificate = role === undefined ? undefined : certificates[role];
  const der = id === requestName('evidence') ? evidenceSigner : certificate;
  if (der === undefined) return { from: Date.parse(pins.importedAt), end: undefined };
  const { notBefore, notAfter } = readCertificate(der);
  const profile = policy.profiles.find((one) => one.id === (role === undefined ? 'evidence-signer' : `${role}-ca`));
  const backdated = (profile?.validity.backdateSeconds ?? 0) * 1000;
  // A certificate that a later ceremony made for the same key does not make the key younger.
  const from = Math.min(notBefore.getTime() + backdated, Date.parse(pins.importedAt));
  return { from, end: notAfter.getTime() };
}
