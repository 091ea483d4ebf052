import { KeysteadError } from '@keystead/core/errors';
import type { RevocationAct, RevocationSelector, RevocationStatementOrder } from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { RevocationActRow, Tx } from '../store/index.ts';
import type { AskedBy } from './authorisations.ts';
import { boundList, boundTo, type CaIdentities } from './selection.ts';

/** The most that one answer lists, and that are looked for at a start. */
export const LISTED = 500;

/** @throws KeysteadError `revocation-request.unknown`, `revocation-request.closed`. */
export function openAct(tx: Tx, id: string): RevocationActRow {
  const row = tx.revocationAct(id);
  if (row === undefined) throw new KeysteadError('revocation-request.unknown', { field: 'id', seen: id });
  if (row.state !== 'proposed') throw new KeysteadError('revocation-request.closed', { field: id, seen: row.state });
  return row;
}

/** Two acts on the same would each tell half of it. @throws KeysteadError `revocation.under-way`. */
export function requireAlone(tx: Tx, { id, selector }: RevocationActRow): void {
  const other = tx.revocationActs('running', LISTED).find((one) => one.selector === selector && one.id !== id);
  if (other !== undefined) throw new KeysteadError('revocation.under-way', { field: other.id, seen: selector });
}

/** @throws KeysteadError `revocation-request.list-differs`. */
export function requireSameList(tx: Tx, order: RevocationStatementOrder, now: Date, cas: CaIdentities): void {
  const { selector, act, reason } = order;
  const { count, listSha256 } = boundTo(boundList(tx, { selector, act, reason, now }, cas));
  if (count === order.count && listSha256 === order.listSha256) return;
  throw new KeysteadError('revocation-request.list-differs', {
    field: count === order.count ? 'listSha256' : 'count',
    seen: `${count} certificates now, where ${order.count} were seen`,
  });
}

/** The row of an act that waits for others, before anything else is known of it. */
export function newRow(
  id: string,
  of: { selector: RevocationSelector; act: RevocationAct; count: number; listSha256: string },
  by: AskedBy,
  now: Date,
): RevocationActRow {
  const { selector, act, count, listSha256 } = of;
  return {
    ...{ id, act, count, listSha256, reason: null, invalidityAt: null },
    selector: JSON.stringify(selector),
    actor: `${by.actor.kind}:${by.actor.id}`,
    requestId: by.requestId,
    state: 'proposed',
    statements: '[]',
    expiresAt: null,
    ...{ cursor: '', certificates: 0, devices: 0, createdAt: now.getTime(), startedAt: null, finishedAt: null },
  };
}

/** What the log says of a step of a request. */
export function requestEvent(
  type: string,
  row: RevocationActRow,
  { actor, requestId }: AskedBy,
  more: NonNullable<AuditEvent['detail']>,
): AuditEvent {
  const { kind, ...named } = JSON.parse(row.selector) as RevocationSelector;
  return {
    type,
    actor,
    requestId,
    outcome: 'done',
    subject: { request: row.id, selector: kind, ...named },
    detail: { act: row.act, reason: row.reason, count: row.count, listSha256: row.listSha256, ...more },
  };
}
