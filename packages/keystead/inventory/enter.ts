import type { SpkiSha256 } from '@keystead/core/bytes';
import type { KeyAlgorithm } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  generatedKey,
  type KeyEvent,
  type KeyEvidence,
  type KeyPurposeId,
  type KeyStanding,
  type KeyState,
  type KeyStep,
  latestDate,
  STRENGTH_BITS,
  stepKey,
} from '@keystead/core/lifecycle';
import type { AppendAudit } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { KeyRow, Tx } from '../store/index.ts';

/** A key that is to stand in the inventory. Times are milliseconds since 1970. */
export interface NewKey {
  readonly id: string;
  /** Null for a symmetric key. */
  readonly spkiSha256: SpkiSha256 | null;
  readonly purpose: KeyPurposeId;
  readonly algorithm: string;
  readonly custody: string;
  readonly fips140: string;
  readonly owner: string;
  readonly generatedAt: number;
  /** When it came into use; null for one that waits. */
  readonly activatedAt: number | null;
  /** notAfter of its certificate; null without one. */
  readonly certificateEnd: number | null;
  readonly evidence: KeyEvidence;
}

/** Who did something to a key, why, and by which request. */
export interface Told {
  readonly actor: AuditEvent['actor'];
  readonly reason: string;
  readonly requestId: string;
}

const EVENT_NAMES: Readonly<Record<KeyEvent, string>> = {
  activate: 'key.activated',
  suspend: 'key.suspended',
  resume: 'key.resumed',
  deactivate: 'key.deactivated',
  compromise: 'key.compromised',
  destroy: 'key.destroyed',
};

/**
 * Enters a key into the inventory with one audit entry, in the caller's transaction: whoever makes a key that has no
 * certificate in the records (a CA's, a backup's, a wrapping key) calls this. REQ-KEY-POL-01, REQ-KEY-AUD-01
 * @param type `key.recorded` for one that was made, and perhaps told of, before there was an inventory.
 * @throws KeysteadError `key.history-disordered`; the error that maps to `key.already-used` when the key stands there.
 */
export function enterKey(
  tx: Tx,
  audit: AppendAudit,
  key: NewKey,
  told: Told,
  type: 'key.generated' | 'key.recorded' = 'key.generated',
): KeyRow {
  const generated = generatedKey(key.generatedAt);
  const standing =
    key.activatedAt === null ? generated : stepKey(generated, { event: 'activate', at: key.activatedAt });
  const { activatedAt: _, generatedAt: __, evidence, ...facts } = key;
  const row: KeyRow = {
    ...facts,
    ...standing.dates,
    state: standing.state,
    strengthBits: strengthOf(key.algorithm),
    successor: null,
    evidence: JSON.stringify(evidence),
  };
  tx.insertKey(row);
  const { seq } = audit(tx, {
    type,
    actor: told.actor,
    requestId: told.requestId,
    outcome: 'done',
    subject: subjectOf(row),
    detail: {
      purpose: row.purpose,
      algorithm: row.algorithm,
      custody: row.custody,
      fips140: row.fips140,
      owner: row.owner,
      state: row.state,
      generatedAt: new Date(row.generatedAt).toISOString(),
      activatedAt: row.activatedAt === null ? null : new Date(row.activatedAt).toISOString(),
      ...evidence,
    },
  });
  writeDown(tx, row.id, 0, { event: 'generate', at: row.generatedAt }, [null, generated.state], told, seq);
  if (key.activatedAt !== null) {
    const step: KeyStep = { event: 'activate', at: key.activatedAt };
    writeDown(tx, row.id, 1, step, [generated.state, standing.state], told, seq);
  }
  return row;
}

/**
 * Takes a key of the inventory on to its next state, with its history and its audit entry, in the caller's
 * transaction. A time before the last step's, which a clock that was corrected gives, counts as that step's.
 * @throws KeysteadError `key.unknown`, `key.transition-forbidden`.
 */
export function moveKey(
  tx: Tx,
  audit: AppendAudit,
  id: string,
  { event, at }: { readonly event: KeyEvent; readonly at: number },
  told: Told,
): KeyStanding {
  const row = tx.key(id);
  if (row === undefined) throw new KeysteadError('key.unknown', { field: 'id', seen: id });
  const before = standingOf(row);
  const step = { event, at: Math.max(at, latestDate(before.dates)) };
  const after = stepKey(before, step);
  tx.setKeyStanding(id, after);
  const { seq } = audit(tx, {
    type: EVENT_NAMES[event],
    actor: told.actor,
    requestId: told.requestId,
    outcome: 'done',
    subject: subjectOf(row),
    detail: { from: before.state, to: after.state, at: new Date(step.at).toISOString(), reason: told.reason },
  });
  writeDown(tx, id, tx.keyEvents(id).length, step, [before.state, after.state], told, seq);
  return after;
}

/** What a row says of where its key stands. */
export function standingOf(row: KeyRow): KeyStanding {
  const { generatedAt, activatedAt, suspendedAt, deactivatedAt, compromisedAt, destroyedAt } = row;
  const dates = { generatedAt, activatedAt, suspendedAt, deactivatedAt, compromisedAt, destroyedAt };
  return { state: row.state, dates };
}

/** Bits of security strength of an algorithm by the name that the inventory gives it; 0 for one that it does not know. */
export function strengthOf(algorithm: string): number {
  if (algorithm in STRENGTH_BITS) return STRENGTH_BITS[algorithm as KeyAlgorithm];
  return /^(?:AES-256|HMAC-SHA-256)/.test(algorithm) ? 256 : 0;
}

function writeDown(
  tx: Tx,
  keyId: string,
  n: number,
  { event, at }: KeyStep,
  [fromState, toState]: readonly [KeyState | null, KeyState],
  { actor, reason, requestId }: Told,
  auditSeq: number,
): void {
  const by = `${actor.kind}:${actor.id}`;
  tx.insertKeyEvent({ keyId, n, event, fromState, toState, at, actor: by, reason, requestId, auditSeq });
}

const subjectOf = ({ id, spkiSha256 }: KeyRow): Record<string, string> =>
  spkiSha256 === null ? { key: id } : { key: id, spkiSha256 };
