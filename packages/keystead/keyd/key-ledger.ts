import { KeysteadError } from '@keystead/core/errors';
import {
  type AgreedFirmwareKey,
  cryptoperiodOf,
  type FirmwareKeyChange,
  firmwareIdOf,
  firmwareKeystoreId,
  type IssuerId,
  issuerKeyId,
  type KeyChange,
  type KeyStanding,
  type KeyState,
  latestDate,
  OPTIONAL_PURPOSES,
  type Policy,
  type SignedKeyOrder,
  stateAt,
  stepKey,
  type UsagePeriods,
  usagePeriods,
  usesAt,
} from '@keystead/core/lifecycle';
import type { KeyInfo } from '../keystore/index.ts';
import { type HeldKey, heldKey, type KeyChangeTold, type LedgerKey } from './held-key.ts';
import type { Hierarchy } from './hierarchy.ts';
import { firstCertified, type KeyLedgerEntry } from './key-entries.ts';
import type { RestoredJournalEntry } from './restore-entries.ts';

/**
 * The log's keys are stopped by an order and not by a date: a log that falls silent would hide what goes on, which is
 * worse than a late signature. `keystead verify` fails instead.
 */
const NOT_STOPPED_BY_DATE: ReadonlySet<string> = new Set(['log', 'log-cosign']);

/** Who ends the use of a key that has a successor: no name of an operator has a colon in it. */
export const BY_CEREMONY = 'ceremony:successor';
/** Who suspends the firmware keys of production that come out of a backup. */
export const BY_RESTORE = 'restore:backup';
/** Whether a change was ordered by people, and did not follow from something else. */
const isOrdered = ({ by }: Pick<KeyChangeTold, 'by'>): boolean => by !== BY_CEREMONY && by !== BY_RESTORE;

const CHANGE_BY_ORDER = { kill: 'compromise', resume: 'resume' } as const satisfies Record<
  FirmwareKeyChange,
  KeyChange
>;
const withApprovers = (reason: string, approvers: readonly string[]): string =>
  `${reason} (approved by ${approvers.join(', ')})`;

/**
 * The state of each key that keyd holds: what it may still be used for, by its usage periods and by what was ordered.
 * Orders stand in the journal and are made again from it at each start, so that a front end can neither lift a
 * suspension nor make keyd forget one. REQ-KEY-POL-01, REQ-KEY-STO-03
 */
export class KeyLedger {
  readonly #policy: () => Policy;
  readonly #keys: ReadonlyMap<string, HeldKey>;

  /**
   * @param keys all keys of the keystore.
   * @param policy the one in force at each use: another one has other periods.
   * @param orders those of the journal, in their order. One about a key that is no longer here says nothing.
   */
  constructor(
    hierarchy: Hierarchy,
    keys: readonly KeyInfo[],
    policy: () => Policy,
    orders: readonly KeyLedgerEntry[] = [],
  ) {
    this.#policy = policy;
    const began = firstCertified(orders);
    this.#keys = new Map(keys.map((info) => [info.id, heldKey(hierarchy, info, began)]));
    for (const order of orders) this.#replay(order);
    for (const key of this.#keys.values()) this.#succeed(key, Number.POSITIVE_INFINITY);
  }

  #replay(entry: KeyLedgerEntry): void {
    if (entry.kind === 'restored') {
      this.#restored(entry);
      return;
    }
    if (entry.kind === 'firmware-certificate') return;
    const key = this.#keys.get(entry.key);
    if (key === undefined || key.spkiSha256 !== entry.spkiSha256) return;
    this.#succeed(key, Date.parse(entry.time));
    const { by, requestId } = entry;
    const change = entry.kind === 'key' ? entry.change : CHANGE_BY_ORDER[entry.change];
    const reason = entry.kind === 'key' ? entry.reason : withApprovers(entry.reason, entry.approvers);
    const told = { change, at: new Date(entry.time), by, reason, requestId };
    // A journal of before a restore suspended anything: what was stopped once more is stopped, and no start fails by it.
    if (change === 'suspend' && key.standing.state === 'suspended') key.changes.push(told);
    else this.#apply(key, told);
  }

  /**
   * Whether a firmware key was killed after the backup stands in no journal that came out of it. So each of production is
   * suspended, and people who look at the audit log bring it back, or do not. REQ-KEY-ROT-02, REQ-KEY-BAK-02
   */
  #restored({ time, backupId }: RestoredJournalEntry): void {
    const at = new Date(time);
    for (const key of this.#keys.values()) {
      const { activatedAt, standing, production } = key;
      if (!production || standing.state !== 'active' || activatedAt === null || activatedAt > at.getTime()) continue;
      const reason = `out of backup ${backupId}: it may have been killed since`;
      this.#apply(key, { change: 'suspend', at, by: BY_RESTORE, reason, requestId: backupId });
    }
  }

  /** A key whose successor took over before `until` is deactivated from then on: it answers for what it issued. */
  #succeed(key: HeldKey, until: number): void {
    const { succeededAt, standing, info } = key;
    if (succeededAt === undefined || succeededAt > until) return;
    if (standing.state !== 'active' && standing.state !== 'suspended') return;
    const reason = 'its successor was certified';
    this.#apply(key, { change: 'deactivate', at: new Date(succeededAt), by: BY_CEREMONY, reason, requestId: info.id });
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

  /** Whether the keystore has a key with this id. */
  has(id: string): boolean {
    return this.#keys.has(id);
  }

  /** Whether a CA's key is known to be in foreign hands: then it vouches for nothing. */
  isCompromised(issuer: IssuerId): boolean {
    return this.#held(issuerKeyId(issuer)).standing.state === 'compromised';
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
    // One person who is mistaken, or means harm, ends no product's updates; and none brings back what others doubt.
    if (firmwareIdOf(key.info.id) !== undefined && order.change !== 'suspend')
      throw new KeysteadError('firmware-key.needs-quorum', { field: order.change, seen: key.info.id });
    const ordered = key.changes.filter(isOrdered).length;
    if (order.after !== ordered) {
      const seen = `${order.after}, and the key has had ${ordered} changes`;
      throw new KeysteadError('key-order.stale', { field: 'after', seen });
    }
    // Two people: whoever stopped a key does not bring it back alone.
    if (order.change === 'resume' && key.changes.at(-1)?.by === signer) {
      throw new KeysteadError('key-order.signer-forbidden', { field: 'resume', seen: `${signer}, who suspended it` });
    }
    const { change, reason } = order;
    return this.#carryOut(key, { change, at: now, by: signer, reason, requestId }, now);
  }

  /**
   * Carries out what several people ordered of a firmware key, as {@link change} does what one orders.
   * @throws KeysteadError `firmware-key-order.key-unknown`, `firmware-key-order.stale`, `key.transition-forbidden`; nothing
   *   is changed then.
   */
  order(
    { order, proposer, approvers }: Pick<AgreedFirmwareKey, 'order' | 'proposer' | 'approvers'>,
    requestId: string,
    now: Date,
  ): { id: string; undo: () => void } {
    const key = this.#keys.get(firmwareKeystoreId(order.key));
    if (key === undefined || key.spkiSha256 !== order.spkiSha256)
      throw new KeysteadError('firmware-key-order.key-unknown', {
        field: 'order.key',
        seen: `${order.key}, ${key === undefined ? 'of which there is none' : 'which is another key'}`,
      });
    const ordered = key.changes.filter(isOrdered).length;
    if (order.change === 'resume' && order.after !== ordered) {
      const seen = `${order.after}, and the key has had ${ordered} changes`;
      throw new KeysteadError('firmware-key-order.stale', { field: 'order.after', seen });
    }
    const reason = withApprovers(order.reason, approvers);
    const told = { change: CHANGE_BY_ORDER[order.change], at: now, by: proposer, reason, requestId };
    return this.#carryOut(key, told, now);
  }

  /** One synchronous step, and what takes it back. @throws KeysteadError `key.transition-forbidden`. */
  #carryOut(key: HeldKey, told: KeyChangeTold, now: Date): { id: string; undo: () => void } {
    const before = key.standing;
    try {
      // An end that came by itself is an end: what has run out is not suspended any more.
      const timed = this.#timed(key);
      if (stateAt(timed, now) === 'deactivated' && before.state !== 'deactivated') {
        key.standing = stepKey(before, { event: 'deactivate', at: timed.originatorEnd ?? now.getTime() });
      }
      this.#apply(key, told);
    } catch (error) {
      key.standing = before;
      throw error;
    }
    const count = key.changes.length - 1;
    const undo = (): void => {
      // What followed on it goes with it: the journal failed for both.
      if (key.changes.length <= count) return;
      key.changes.length = count;
      key.standing = before;
    };
    return { id: key.info.id, undo };
  }

  /** The state of a key now, by what was ordered and by its periods, and how many changes people have ordered. */
  standing(id: string, now: Date): { state: KeyState; ordered: number } {
    const key = this.#held(id);
    return { state: stateAt(this.#timed(key), now), ordered: key.changes.filter(isOrdered).length };
  }

  /** Every key, in the order in which they were made. */
  list(): LedgerKey[] {
    return [...this.#keys.values()].map((key) => ({ ...key, ...this.#periods(key), changes: [...key.changes] }));
  }

  #apply(key: HeldKey, told: KeyChangeTold): void {
    // A clock that was set back by a moment is no reason to refuse a stop, nor to fail at a start.
    const at = Math.max(told.at.getTime(), latestDate(key.standing.dates));
    key.standing = stepKey(key.standing, { event: told.change, at });
    key.changes.push(told);
  }

  /** The key as its state is told by time too. */
  #timed(key: HeldKey): KeyStanding & UsagePeriods {
    const dated = !NOT_STOPPED_BY_DATE.has(key.info.id);
    return { ...key.standing, ...(dated ? this.#periods(key) : { originatorEnd: null, recipientEnd: null }) };
  }

  #periods({ purpose, activatedAt, certificateEnd }: HeldKey): UsagePeriods {
    if (activatedAt === null) return { originatorEnd: null, recipientEnd: null };
    const policy = this.#policy();
    // A policy may leave out what a deployment may be without; the certificate ends the key then.
    if (OPTIONAL_PURPOSES.includes(purpose) && !policy.cryptoperiods.some((one) => one.purpose === purpose))
      return { originatorEnd: certificateEnd ?? null, recipientEnd: certificateEnd ?? null };
    return usagePeriods(cryptoperiodOf(policy, purpose), activatedAt, certificateEnd);
  }

  #held(id: string): HeldKey {
    const key = this.#keys.get(id);
    if (key === undefined) throw new KeysteadError('keystore.key-missing', { field: 'key', seen: id });
    return key;
  }
}
