import { canonicalJson } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type FirmwareOrder, firmwareOrderSha256 } from '@keystead/core/lifecycle';
import type { SigningReader, SigningRequestRow } from '../store/index.ts';
import type { AskedBy } from './deps.ts';
import { INITIAL } from './states.ts';
import type { Reading } from './submission.ts';

/** Drafts, and requests that wait: beyond, somebody asks without end. */
export const MOST_OPEN = 500;

/** A draft as it is recorded at first. */
export function newRequest(order: FirmwareOrder, reading: Reading, by: AskedBy, now: number): SigningRequestRow {
  const { id, product, environment, target, version, format, image, subjectSha256 } = order;
  return {
    ...{ id, product, environment, target, version, format, subjectSha256 },
    state: INITIAL,
    order: canonicalJson(order),
    orderSha256: firmwareOrderSha256(order),
    imageSha256: image.sha256,
    reading: JSON.stringify(reading),
    statements: '[]',
    actor: `${by.actor.kind}:${by.actor.id}`,
    requestId: by.requestId,
    ...{ expiresAt: null, refusal: null, resultSha256: null, resultBytes: null },
    ...{ createdAt: now, changedAt: now },
  };
}

/** What was signed must be this request, and not another of the same name. @throws KeysteadError `signing.request-differs`. */
export function requireThisOrder(row: SigningRequestRow, order: FirmwareOrder): void {
  if (canonicalJson(order) === row.order) return;
  throw new KeysteadError('signing.request-differs', {
    field: 'statement',
    seen: `another order than that of ${row.id}`,
  });
}

/**
 * That one more may be open, of all and of who submits it: one CI system that asks without end keeps nobody else out.
 * @throws KeysteadError `signing.too-many`, `signing.too-many-of-one`.
 */
export function requireRoom(records: SigningReader, { actor }: SigningRequestRow, mostOfOne: number): void {
  const open = (['draft', 'waiting'] as const).flatMap((state) => records.requestsIn(state, MOST_OPEN));
  if (open.length >= MOST_OPEN)
    throw new KeysteadError('signing.too-many', { field: 'requests', seen: `${open.length} are open` });
  const own = open.filter((row) => row.actor === actor).length;
  if (own >= mostOfOne)
    throw new KeysteadError('signing.too-many-of-one', { field: 'requests', seen: `${own} of ${actor} are open` });
}

/** That it was refused for good, and why. */
export const refusalOf = ({ id, refusal }: SigningRequestRow): KeysteadError =>
  new KeysteadError('signing.request-closed', { field: id, seen: `refused: ${refusal}` });
