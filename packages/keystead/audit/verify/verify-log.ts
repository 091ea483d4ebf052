import { join } from 'node:path';
import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type CheckpointKeys, openCheckpoint, parseVerifierKey, type VerifierKey } from '@keystead/core/log';
import type { AuditReader } from '../append.ts';
import { readArchive } from '../archive.ts';
import { type Timers, waitingTimers } from '../timers.ts';
import { boundedFiles, LeavesFile, openPlain } from './bounded-files.ts';
import { Findings } from './faults.ts';
import { headReaches, lastSigned, readHead } from './heads.ts';
import { isForgery, type Milestone, Milestones, textOf } from './milestones.ts';
import { firstBad, type LogReport } from './report.ts';
import { Walk } from './walk.ts';

export interface VerifyLogOptions {
  /** The log's directory: `checkpoint`, `checkpoints`, `tile/…`. */
  readonly dir: string;
  /**
   * The public keys in which the auditor trusts, not taken from `dir`: one of type ed25519 (the log's) and at most one
   * of type cosignature/v1 (the timestamps), in the text form of C2SP signed-note.
   */
  readonly vkeys: readonly string[];
  /** keyd's file of leaf hashes: with it the very first bad entry is named, not only a range. */
  readonly keydLeaves?: string;
  /** Checkpoints (note text) that were seen elsewhere or earlier: they uncover a cut log and a fork. */
  readonly otherCheckpoint?: string | readonly string[];
  /** The database, to compare each row with what was signed. */
  readonly stored?: AuditReader;
  readonly onProgress?: (done: { readonly entries: number; readonly size: number }) => void;
  /** How far an entry's time may lie outside of what the checkpoints around it say. */
  readonly toleranceMs?: number;
  /** How long to wait for a running service to publish what keyd has just signed. */
  readonly settleMs?: number;
  readonly timers?: Timers;
}

/** Twice the time within which the publisher has a checkpoint signed. */
export const DEFAULT_TOLERANCE_MS = 10_000;
const DEFAULT_SETTLE_MS = 2_000;

/**
 * Proves a log from its files: every entry is the one that was signed, in its place, with a time that never goes back
 * and fits the signed times; nothing is missing; no two checkpoints contradict each other. It reads each file once, in
 * order, with memory that does not grow with the log. A running service may go on publishing meanwhile. Whatever is in
 * the files, the answer is a report. REQ-KEY-AUD-01
 * @throws KeysteadError `note.key-malformed` when `vkeys` are not what they should be.
 */
export async function verifyLogFiles(options: VerifyLogOptions): Promise<LogReport> {
  const { dir, keydLeaves, toleranceMs = DEFAULT_TOLERANCE_MS } = options;
  const keys = keysOf(options.vkeys);
  const findings = new Findings();
  const read = boundedFiles(dir);
  // What is appended later is measured first: a running service only ever adds to it.
  const archivePath = join(dir, 'checkpoints');
  const archive = await openOrTell(archivePath, 'archive-malformed', findings);
  const archiveLength = archive === undefined ? 0 : (await archive.stat()).size;
  const leaves = await openLeaves(keydLeaves, findings);
  try {
    const published = await readHead(read, keys, findings);
    const head = published ?? (await lastSigned(archivePath, archiveLength, keys));
    const others = openOthers(options.otherCheckpoint, keys, findings);
    if (archiveLength === 0 && findings.count('archive-malformed') === 0) findings.add('archive-missing', archivePath);
    const notes = archive === undefined ? undefined : readArchive(archive, archiveLength);
    const extra = head === undefined ? others : [...others, head];
    const milestones = new Milestones(notes, extra, keys, findings);
    const size = head?.size ?? 0;
    const walk = new Walk({ ...options, read, keys, leaves, milestones, findings, size, toleranceMs });
    await walk.run();
    const seen = Math.max(walk.largest?.size ?? 0, leaves?.count ?? 0);
    const settleMs = options.settleMs ?? DEFAULT_SETTLE_MS;
    if (
      head !== undefined &&
      seen > size &&
      !(await headReaches(seen, read, keys, settleMs, options.timers ?? waitingTimers))
    ) {
      const by = walk.largest?.size === seen ? walk.largest.source : "keyd's file of leaves";
      const detail =
        `the log ends at ${size}, and ${by} has ${seen}: it was cut off, or keystead was stopped before it ` +
        'published (then start it and verify again)';
      findings.add('log-truncated', detail, { index: size });
    }
    return report(head, walk, milestones, leaves, others.length, findings);
  } finally {
    await archive?.close();
    await leaves?.close();
  }
}

function report(
  head: Milestone | undefined,
  walk: Walk,
  milestones: Milestones,
  leaves: LeavesFile | undefined,
  otherCheckpoints: number,
  findings: Findings,
): LogReport {
  const list = findings.list();
  const remarks: string[] = [];
  if (milestones.torn) remarks.push('the archive ends in an unfinished note: a crash while it was written');
  return {
    format: 'keystead-log-report/1',
    verdict: list.length === 0 ? 'proven' : 'not-proven',
    head: head && {
      origin: head.origin,
      size: head.size,
      root: toBase64(head.root),
      signedAt: head.timestamp === undefined ? undefined : new Date(head.timestamp * 1000).toISOString(),
      source: head.source,
    },
    entries: { checked: walk.checked, first: walk.firstTime, last: walk.lastTime },
    checkpoints: { archived: milestones.archived, widest: milestones.widest },
    comparedWith: {
      keydLeaves: leaves?.count,
      otherCheckpoints,
      database: walk.database && { rows: walk.database.rows, unpublished: walk.database.unpublished },
    },
    firstBad: firstBad(list),
    findings: list,
    fork: walk.fork,
    remarks,
  };
}

function keysOf(vkeys: readonly string[]): CheckpointKeys {
  const keys = vkeys.map(parseVerifierKey);
  const only = (type: VerifierKey['type']): VerifierKey | undefined => {
    const [key, another] = keys.filter((one) => one.type === type);
    if (another !== undefined)
      throw new KeysteadError('note.key-malformed', { field: 'vkeys', seen: `two of ${type}` });
    return key;
  };
  const log = only('ed25519');
  if (log === undefined) throw new KeysteadError('note.key-malformed', { field: 'vkeys', seen: 'no key of the log' });
  return { log, cosigner: only('cosignature-v1') };
}

function openOthers(
  given: string | readonly string[] | undefined,
  keys: CheckpointKeys,
  findings: Findings,
): Milestone[] {
  const notes = given === undefined ? [] : typeof given === 'string' ? [given] : given;
  return notes.flatMap((note, i) => {
    const source = notes.length === 1 ? 'the checkpoint from elsewhere' : `checkpoint ${i + 1} from elsewhere`;
    try {
      // A witness may pass on the note without our cosignature.
      return [{ ...openCheckpoint(note, { log: keys.log }), timestamp: timeOf(note, keys), source }];
    } catch (error) {
      findings.add(isForgery(error) ? 'checkpoint-forged' : 'checkpoint-malformed', `${source}: ${textOf(error)}`);
      return [];
    }
  });
}

function timeOf(note: string, keys: CheckpointKeys): number | undefined {
  try {
    return openCheckpoint(note, keys).timestamp;
  } catch {
    return undefined;
  }
}

async function openOrTell(
  path: string,
  fault: 'archive-malformed' | 'keyd-leaves-altered',
  findings: Findings,
): Promise<Awaited<ReturnType<typeof openPlain>>> {
  try {
    return await openPlain(path);
  } catch (error) {
    findings.add(fault, textOf(error));
    return undefined;
  }
}

async function openLeaves(path: string | undefined, findings: Findings): Promise<LeavesFile | undefined> {
  if (path === undefined) return undefined;
  try {
    const leaves = await LeavesFile.open(path);
    if (leaves === undefined) findings.add('keyd-leaves-altered', `${path}: no such file`);
    return leaves;
  } catch (error) {
    findings.add('keyd-leaves-altered', textOf(error));
    return undefined;
  }
}
