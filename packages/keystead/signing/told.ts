import type { KeysteadError } from '@keystead/core/errors';
import type { AuditEvent } from '../audit/index.ts';
import type { SigningRequestRow, SigningState } from '../store/index.ts';
import type { AskedBy } from './deps.ts';

/** What the log says of a request that has come to a state. */
export const TOLD: Readonly<Record<SigningState, string>> = {
  draft: 'signing.submitted',
  waiting: 'signing.requested',
  approved: 'signing.quorum',
  signed: 'firmware.signed',
  refused: 'signing.refused',
  expired: 'signing.expired',
  withdrawn: 'signing.withdrawn',
};

/** An event of a request: which image, for what, and how it stands. */
export function eventOf(
  type: string,
  row: SigningRequestRow,
  { actor, requestId }: AskedBy,
  more: NonNullable<AuditEvent['detail']>,
): AuditEvent {
  const { id, product, environment, target, version, format, imageSha256, orderSha256 } = row;
  return {
    type,
    actor,
    requestId,
    outcome: row.state === 'refused' ? 'refused' : 'done',
    subject: { request: id, product, environment, target, version },
    detail: { format, imageSha256, orderSha256, ...more },
  };
}

/** An error as a request keeps it: its code, and what it names. */
export const textOf = ({ code, field, seen }: KeysteadError): string =>
  [code, field, seen?.slice(0, 200)].filter((part) => part !== undefined).join(': ');
