import type { AuditEvent } from '../audit/index.ts';
import type { SigningRequestRow, Tx } from '../store/index.ts';
import type { AskedBy, SigningDeps } from './deps.ts';
import { type SigningEvent, stateAfter } from './states.ts';
import { eventOf, TOLD } from './told.ts';

/**
 * Takes a request to the state after `event`, with its audit entry in the same transaction. What else the step brings, as
 * a statement or a result, the row has already.
 * @throws KeysteadError `signing.request-closed` where the table of states knows no such step.
 */
export function takeStep(
  { audit, clock }: Pick<SigningDeps, 'audit' | 'clock'>,
  tx: Tx,
  row: SigningRequestRow,
  event: SigningEvent,
  by: AskedBy,
  said: NonNullable<AuditEvent['detail']>,
): SigningRequestRow {
  const after: SigningRequestRow = {
    ...row,
    state: stateAfter(row.id, row.state, event),
    refusal: event === 'refuse' ? String(said.refusal) : null,
    changedAt: clock.now().getTime(),
  };
  tx.signing.step(after);
  audit(tx, eventOf(TOLD[after.state], after, by, said));
  return after;
}
