import { attentionOf, type KeyRecord, type KeyUses, type Policy, usesAt } from '@keystead/core/lifecycle';
import type { KeyEventRow } from '../store/index.ts';
import type { KeyWarning } from './attention.ts';

type Iso = string | null;

/** A record as JSON gives it: times are ISO 8601, UTC. */
export interface KeyView {
  readonly id: string;
  readonly spkiSha256: string | null;
  readonly purpose: string;
  readonly algorithm: string;
  readonly strengthBits: number;
  readonly custody: string;
  readonly fips140: string;
  readonly owner: string;
  /** Now. */
  readonly state: string;
  readonly generatedAt: Iso;
  readonly activatedAt: Iso;
  readonly suspendedAt: Iso;
  readonly deactivatedAt: Iso;
  readonly compromisedAt: Iso;
  readonly destroyedAt: Iso;
  readonly originatorEnd: Iso;
  readonly recipientEnd: Iso;
  readonly successor: string | null;
  readonly evidence: KeyRecord['evidence'];
  /** What may be done with it now, and why or why not. */
  readonly protect: KeyUses['protect'];
  readonly process: KeyUses['process'];
  /** What it asks of the people who answer for it. */
  readonly attention: { readonly level: string; readonly why: string };
}

export interface KeyEventView {
  readonly at: Iso;
  readonly event: string;
  readonly from: string | null;
  readonly to: string;
  readonly by: string;
  readonly reason: string;
  readonly requestId: string;
  readonly auditSeq: number;
}

export interface WarningView extends KeyView {
  readonly level: string;
  readonly why: string;
}

/** The record at `now`, with what it allows. */
export function keyView(record: KeyRecord, policy: Policy, now: Date): KeyView {
  const { dates, originatorEnd, recipientEnd, evidence, ...facts } = record;
  const { state, protect, process } = usesAt(record, now);
  return {
    ...facts,
    state,
    generatedAt: iso(dates.generatedAt),
    activatedAt: iso(dates.activatedAt),
    suspendedAt: iso(dates.suspendedAt),
    // An end that came by itself has a date, whether or not anybody wrote it down.
    deactivatedAt: iso(dates.deactivatedAt ?? (state === 'deactivated' ? originatorEnd : null)),
    compromisedAt: iso(dates.compromisedAt),
    destroyedAt: iso(dates.destroyedAt),
    originatorEnd: iso(originatorEnd),
    recipientEnd: iso(recipientEnd),
    evidence,
    protect,
    process,
    attention: attentionOf(record, policy, now),
  };
}

export const keyEventView = (row: KeyEventRow): KeyEventView => ({
  at: iso(row.at),
  event: row.event,
  from: row.fromState,
  to: row.toState,
  by: row.actor,
  reason: row.reason,
  requestId: row.requestId,
  auditSeq: row.auditSeq,
});

export const warningView = ({ record, level, why }: KeyWarning, policy: Policy, now: Date): WarningView => ({
  ...keyView(record, policy, now),
  level,
  why,
});

const iso = (ms: number | null): Iso => (ms === null ? null : new Date(ms).toISOString());
