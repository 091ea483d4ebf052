import { chownSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  OPERATOR_NAME,
  type Policy,
  parseRestoreStatement,
  type RestoreOrder,
  RestoreOrderSchema,
  ROLES,
  verifyRestoreOrder,
} from '@keystead/core/lifecycle';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { type CeremonyPins, readPins } from '../keyd/hierarchy.ts';
import { readJournal } from '../keyd/read-journal.ts';
import { broughtStatements, requireThisRestore } from '../keyd/restore-agreement.ts';
import { type KnownRestore, Restores } from '../keyd/restores.ts';
import { stoppedState } from '../keyd/stopped-state.ts';
import type { SignedBackup } from './verify.ts';

const RequestSchema = z.strictObject({
  order: RestoreOrderSchema,
  /** Who asks: whoever restores. */
  proposer: z.string().regex(OPERATOR_NAME),
  /** The role by which they ask. */
  role: z.enum(ROLES),
});

/** What a restore asks people to sign, as a file that goes to them. Nobody's signature stands in it. */
export type RestoreRequest = z.infer<typeof RequestSchema>;

/** What people agree to when they agree to one restore, or one drill, of this backup. */
export const orderOf = (
  { manifest, manifestSha256 }: Pick<SignedBackup, 'manifest' | 'manifestSha256'>,
  purpose: RestoreOrder['purpose'],
  acceptLoss: boolean,
): RestoreOrder => ({
  restore: toHex(randomBytes(16)),
  purpose,
  backupId: manifest.backupId,
  manifestSha256,
  log: manifest.logOrigin,
  acceptLoss,
});

export const writeRequest = (path: string, request: RestoreRequest): void =>
  durableWrite(path, `${JSON.stringify(request, null, 2)}\n`, 0o644);

/** @throws KeysteadError `config.missing`, `restore-order.malformed`. */
export function readRequest(path: string): RestoreRequest {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysteadError('config.missing', { field: path, seen: 'no readable file', cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new KeysteadError('restore-order.malformed', { field: path, seen: 'no JSON', cause });
  }
  const parsed = RequestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new KeysteadError('restore-order.malformed', { field: path, seen: parsed.error.issues[0]?.message });
}

/**
 * The statements about one restore among many texts, each once, the proposal first, as keyd takes them. Those of another
 * one are left out.
 * @throws KeysteadError `restore-order.malformed` for a text that is no statement.
 */
export function statementsOf(texts: readonly string[], { restore }: Pick<RestoreOrder, 'restore'>): string[] {
  const isWanted = (text: string): boolean => parseRestoreStatement(text).content.order.restore === restore;
  const mine = [...new Set(texts)].filter(isWanted);
  const rank = (text: string): number => (parseRestoreStatement(text).content.act === 'propose' ? 0 : 1);
  return mine.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * The policy in force in a data directory whose keyd does not run, verified from that of the ceremony on.
 * @throws KeysteadError `keyd.not-ready`, and as `stoppedState` does.
 */
export const policyIn = (layout: Layout): Policy => stoppedState(layout, requirePins(layout)).policy.policy;

function requirePins(layout: Layout): CeremonyPins {
  const pins = readPins(layout);
  if (pins === undefined) throw new KeysteadError('keyd.not-ready', { field: layout.keyd });
  return pins;
}

function originIn(layout: Layout): string {
  const { vkey } = requirePins(layout);
  return vkey.slice(0, vkey.indexOf('+'));
}

/**
 * What a restored keyd waits for, by its own journal.
 * @throws KeysteadError `restore.not-pending`.
 */
export function pendingIn(layout: Layout): KnownRestore & { readonly restore: string } {
  const restores = new Restores();
  for (const entry of readJournal(join(layout.keyd, 'journal')).entries) restores.replay(entry);
  if (restores.pending !== undefined) return restores.pending;
  throw new KeysteadError('restore.not-pending', { field: layout.data, seen: 'no restore that is waited for' });
}

/**
 * Brings statements to a restored keyd that does not run: it verifies them itself at its next start. They are looked at
 * here as keyd will, so that whoever brings them hears at once what is wrong with them; then nothing is written.
 * @throws KeysteadError `restore.not-pending`, `restore-order.*`, `approval.hardware-required`.
 */
export function bringStatements(
  layout: Layout,
  statements: readonly string[],
  clock: Clock,
): ReturnType<typeof verifyRestoreOrder> {
  const pending = pendingIn(layout);
  const mine = statementsOf(statements, pending);
  if (mine.length === 0) {
    const [other] = statements.map((text) => parseRestoreStatement(text).content.order.restore);
    if (other === undefined) throw new KeysteadError('restore-order.too-few', { field: 'statements', seen: 'none' });
    throw new KeysteadError('restore-order.other-restore', { field: 'order.restore', seen: other });
  }
  const agreed = verifyRestoreOrder(mine, policyIn(layout), clock.now());
  requireThisRestore(agreed.order, pending, originIn(layout));
  const path = broughtStatements(layout.keyd);
  durableWrite(path, `${mine.join('\n')}\n`, 0o600);
  const { uid, gid } = statSync(dirname(path));
  if (process.getuid?.() === 0) chownSync(path, uid, gid);
  return agreed;
}
