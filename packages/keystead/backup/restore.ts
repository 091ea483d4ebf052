import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { randomBytes, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { RestoreOrder } from '@keystead/core/lifecycle';
import { parseCheckpoint } from '@keystead/core/log';
import { durableWrite, syncDirectory } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { loadHierarchy } from '../keyd/hierarchy.ts';
import { Journal } from '../keyd/journal.ts';
import { KeydState } from '../keyd/state.ts';
import { Attempts } from './attempts.ts';
import { verifyContent } from './container.ts';
import { continueLog } from './continue-log.ts';
import { mapDiskError } from './disk.ts';
import { takeFieldCrls } from './field-crls.ts';
import { type Newest, requireReach, verifySeen } from './newest.ts';
import { rebuildLog, verifyState } from './rebuild.ts';
import { bringStatements, orderOf, policyIn } from './restore-request.ts';
import { ShareSession } from './session.ts';
import { unpack } from './unpack.ts';
import type { SignedBackup } from './verify.ts';

/**
 * How far the numbers of CRLs jump at a restore. Numbers that were used after the backup must not come again with
 * another list under them (RFC 5280 section 5.2.3); a CA makes far fewer CRLs in its whole life.
 */
const CRL_NUMBERS_SKIPPED = 1_000_000;

export interface RestoreOptions {
  readonly backup: SignedBackup;
  /** The data directory to make: it must be empty or not there. */
  readonly to: string;
  readonly newest: Newest;
  /** CRLs from the field, files: what was revoked after the backup stays revoked. */
  readonly crls?: readonly string[];
  /** Where to write the passphrase of keyd's sealed keystore (0600); without it the master is not looked at. */
  readonly masterOut?: string;
  /** Shows the session to the custodians and feeds it responses until it misses none, or gives up and returns. */
  readonly collect: (session: ShareSession) => Promise<void>;
  /** Told before any share is asked for: what people sign besides giving their shares. */
  readonly onOrder?: (order: RestoreOrder) => void;
  /** The statements that there are at the end. Without enough of them keyd stays closed until they are brought. */
  readonly statements?: () => readonly string[];
  readonly clock: Clock;
  readonly onProgress?: (bytes: number) => void;
}

export interface Restored {
  readonly custodians: readonly string[];
  /** Entries of the log with which the restored system goes on. */
  readonly logEntries: number;
  /** What must be agreed to, by whom, and whether it is. */
  readonly quorum: RestoreQuorum;
}

export interface RestoreQuorum {
  readonly order: RestoreOrder;
  /** Approvals besides the one who asks, by the policy in the backup. */
  readonly needed: number;
  readonly roles: readonly string[];
  /** Who signed, where they are enough: keyd verifies them again when it starts. */
  readonly agreed?: { readonly proposer: string; readonly approvers: readonly string[] };
  /** Why there is no agreement yet. */
  readonly missing?: KeysteadError;
}

/**
 * Restores a backup into an empty directory, with a quorum of its custodians. Everything is unpacked and verified in a
 * directory beside it, which becomes the target in one step at the end: after a kill or a power cut the target is
 * whole or not there. keyd's journal then says that it came out of a backup, which closes the tickets of before and
 * lets the numbers of CRLs jump, and from which the audit log gets its entry at the next start. That keyd is closed until
 * it has verified the statements of the quorum in the backup. REQ-KEY-BAK-02, REQ-KEY-SOD-02
 * @throws KeysteadError `backup.*`; each refused attempt is written down beside the target.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { backup, clock } = options;
  const to = resolve(options.to);
  const attempts = new Attempts(to);
  using session = await ShareSession.open(backup);
  try {
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
    requireEmpty(to, backup);
    if (options.masterOut !== undefined) requireFree(options.masterOut);
    const newestSeen = requireReach(backup, options.newest);
    await verifyContent(backup);
    const order = orderOf(backup, 'restore', options.newest.acceptLoss);
    options.onOrder?.(order);
    await collect(options, session, attempts);
    using identity = await session.combine();
    return await unpackAndPut({ ...options, to, order }, identity, session.custodians, newestSeen, attempts);
  } catch (error) {
    const mapped = mapDiskError(error, to);
    if (mapped instanceof KeysteadError) attempts.add([{ code: mapped.code }], clock.now());
    throw mapped;
  }
}

/** Whatever becomes of the session, each response that it refused is written down. */
async function collect(options: RestoreOptions, session: ShareSession, attempts: Attempts): Promise<void> {
  try {
    await options.collect(session);
  } finally {
    attempts.add(session.refused, options.clock.now());
  }
}

async function unpackAndPut(
  options: RestoreOptions & { readonly order: RestoreOrder },
  identity: SecretBytes,
  custodians: readonly string[],
  newestSeen: number,
  attempts: Attempts,
): Promise<Restored> {
  const { backup, to, order, newest, masterOut, clock } = options;
  removeUnfinishedRestores(to);
  const beside = join(dirname(to), `.${basename(to)}.${toHex(randomBytes(8))}.restoring`);
  mkdirSync(beside, { mode: 0o700 });
  try {
    const withMaster = masterOut !== undefined;
    const { master } = await unpack(backup, identity, beside, { withMaster, onProgress: options.onProgress });
    using held = master;
    const layout = new Layout(beside);
    verifySeen(layout, newest);
    if (newest.log !== undefined) await continueLog(layout, newest.log, clock);
    const logEntries = await rebuildLog(layout);
    await recordInJournal(layout, {
      backup,
      order,
      custodians,
      newestSeen,
      logEntries,
      refused: attempts.all(),
      crls: options.crls ?? [],
      clock,
    });
    await verifyState(layout, clock);
    const quorum = quorumIn(layout, order, options);
    if (masterOut !== undefined) {
      if (held === undefined) throw new KeysteadError('backup.malformed', { field: 'master/keyd', seen: 'none in it' });
      held.use((bytes) => durableWrite(masterOut, Buffer.concat([bytes, Buffer.from('\n')]), 0o600));
    }
    syncDirectory(beside);
    // rename(2) takes the place of an empty directory, and of no other.
    renameSync(beside, to);
    syncDirectory(dirname(to));
    attempts.remove();
    return { custodians, logEntries, quorum };
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw error;
  }
}

/** Not enough statements are no failure of the restore: they may come later, from people who sleep now. */
function quorumIn(
  layout: Layout,
  order: RestoreOrder,
  { statements, clock }: Pick<RestoreOptions, 'statements' | 'clock'>,
): RestoreQuorum {
  const { approvals: needed, roles } = policyIn(layout).quorums.restore;
  try {
    const { proposer, approvers } = bringStatements(layout, statements?.() ?? [], clock);
    return { order, needed, roles, agreed: { proposer, approvers } };
  } catch (error) {
    if (error instanceof KeysteadError && /^(restore-order|approval)\./.test(error.code)) {
      return { order, needed, roles, missing: error };
    }
    throw error;
  }
}

async function recordInJournal(
  layout: Layout,
  restore: {
    backup: SignedBackup;
    order: RestoreOrder;
    custodians: readonly string[];
    newestSeen: number;
    logEntries: number;
    refused: ReturnType<Attempts['all']>;
    crls: readonly string[];
    clock: Clock;
  },
): Promise<void> {
  const { backup, order, custodians, newestSeen, logEntries, refused, clock } = restore;
  const state = new KeydState();
  const journal = await Journal.open(join(layout.keyd, 'journal'), (entry) => state.replay(entry));
  try {
    await takeFieldCrls(layout, restore.crls, journal, state, clock.now());
    const numbers = state.crlNumbers;
    const { issuers } = loadHierarchy(layout);
    await journal.append({
      time: state.time.at(clock.now()).toISOString(),
      kind: 'restored',
      backupId: backup.manifest.backupId,
      manifestSha256: backup.manifestSha256,
      restore: order.restore,
      custodians: [...custodians],
      log: { backup: sizeIn(backup), restored: logEntries, newestSeen },
      acceptedLoss: newestSeen > logEntries,
      crlNumbers: Object.fromEntries(issuers.map(({ id }) => [id, (numbers[id] ?? 0) + CRL_NUMBERS_SKIPPED])),
      refused,
    });
  } finally {
    await journal.close();
  }
}

function sizeIn({ manifest: { checkpoint } }: SignedBackup): number {
  return checkpoint === null ? 0 : parseCheckpoint(checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1)).size;
}

/** @throws KeysteadError `backup.target-not-empty`, `backup.older-than-state` when a newer state is there. */
function requireEmpty(to: string, backup: SignedBackup): void {
  const stats = statSync(to, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isDirectory()) throw new KeysteadError('backup.target-not-empty', { field: 'to', seen: `${to}, a file` });
  if (readdirSync(to).length === 0) return;
  const there = join(to, 'keyd', 'checkpoint');
  if (existsSync(there)) {
    const note = readFileSync(there, 'utf8');
    const size = /^[^\n]+\n(\d{1,15})\n/.exec(note)?.[1];
    if (Number(size) > sizeIn(backup)) {
      throw new KeysteadError('backup.older-than-state', {
        field: 'to',
        seen: `${size} entries in ${to}, ${sizeIn(backup)} in the backup`,
      });
    }
  }
  throw new KeysteadError('backup.target-not-empty', { field: 'to', seen: to });
}

function requireFree(path: string): void {
  if (existsSync(path)) throw new KeysteadError('backup.exists', { field: 'master-out', seen: path });
}

/** What killed restores to the same place have left. */
function removeUnfinishedRestores(to: string): void {
  const start = `.${basename(to)}.`;
  for (const name of readdirSync(dirname(to))) {
    const unfinished = name.startsWith(start) && /^[0-9a-f]{16}\.restoring$/.test(name.slice(start.length));
    if (unfinished) rmSync(join(dirname(to), name), { recursive: true, force: true });
  }
}
