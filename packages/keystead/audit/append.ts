import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { leafHash } from '@keystead/core/log';
import { type AuditEntry, type AuditEvent, entryBytes } from './entry.ts';

/** One row of the log in the database. */
export interface AuditRow {
  /** Index in the tree, from 0, without gaps. */
  readonly seq: number;
  /** RFC 6962 leaf hash of `bytes`, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** The canonical entry. */
  readonly bytes: Uint8Array;
}

/** What a transaction offers to the log. Both see and change the caller's transaction only. */
export interface AuditSink {
  /** The last entry as this transaction sees it; `time` in milliseconds since 1970, UTC. */
  lastAudit(): { readonly seq: number; readonly time: number } | undefined;
  insertAudit(row: AuditRow & { readonly time: number }): void;
}

/** What the publisher and an auditor read: entries whose commit is durable, in order, without gaps. */
export interface AuditReader {
  /** Rows with seq >= `from`, ascending, at most `count`. */
  auditEntries(from: number, count: number): readonly AuditRow[] | Promise<readonly AuditRow[]>;
}

/** A clock that was set back by no more than this is a correction, not a fault (NTP steps are smaller). */
const CORRECTION_MS = 2_000;

/**
 * Appends an event to the log in the caller's transaction, so that the change and its entry are durable together or
 * not at all. The time never goes back: after a small correction of the clock the last time is repeated; after a
 * larger one nothing is recorded, and so nothing is done. REQ-KEY-AUD-01
 * @throws KeysteadError `clock.went-back`, `log.entry-too-large`, `log.entry-malformed`; nothing is appended then.
 */
export function appendAudit(tx: AuditSink, event: AuditEvent, clock: Clock): AuditEntry {
  const last = tx.lastAudit();
  const now = clock.now().getTime();
  if (last !== undefined && last.time - now > CORRECTION_MS) {
    throw new KeysteadError('clock.went-back', {
      field: 'clock',
      seen: `${new Date(now).toISOString()}, after an entry of ${new Date(last.time).toISOString()}`,
    });
  }
  const time = Math.max(now, last?.time ?? now);
  const entry: AuditEntry = {
    ...event,
    v: 1,
    seq: last === undefined ? 0 : last.seq + 1,
    id: toHex(randomBytes(16)),
    time: new Date(time).toISOString(),
  };
  const bytes = entryBytes(entry);
  tx.insertAudit({ seq: entry.seq, time, leafHash: leafHash(bytes), bytes });
  return entry;
}
