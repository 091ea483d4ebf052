import { KeysteadError } from '@keystead/core/errors';
import { type BatchTicket, parseTicket, requireTicketTime, signersOf, verifyTicket } from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import { requireClock } from '../authority/index.ts';
import type { Ticket } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';

export interface OpenedBatch {
  readonly ticket: BatchTicket;
  /** Whether this very ticket had been opened before, with signatures that are good still. */
  readonly repeated: boolean;
}

/**
 * Opens a batch: from now on units of this ticket can be provisioned here. How many, is counted by keyd.
 * REQ-KEY-PROV-01
 * @param text the signed ticket, as it came.
 * @throws KeysteadError `ticket.*` (audited); `store.*`, `clock.went-back`.
 */
export async function openBatch(
  deps: ProvisioningDeps,
  v: { ticket: string; actor: AuditEvent['actor']; requestId: string },
): Promise<OpenedBatch> {
  const { ticket: text, actor, requestId } = v;
  try {
    requireClock(deps);
    const now = deps.clock.now();
    const signed = verifyTicket(text, deps.policy);
    const { ticket, sha256 } = signed;
    const signer = signersOf(signed).join(', ');
    requireTicketTime(ticket, now);
    const repeated = await deps.store.commit((tx) => {
      const known = tx.ticket(ticket.id);
      // The same ticket with its signatures in another order, or one more of them, is the same ticket.
      if (known !== undefined && parseTicket(known.text).sha256 !== sha256) {
        throw new KeysteadError('ticket.id-reused', { field: 'id', seen: ticket.id });
      }
      if (known !== undefined && isAccepted(known, deps)) return true;
      if (known !== undefined) tx.signTicketAnew({ ticketId: ticket.id, text, signer });
      else
        tx.insertTicket({
          ticketId: ticket.id,
          text,
          signer,
          model: ticket.model,
          quota: ticket.quota,
          notBefore: Date.parse(ticket.notBefore),
          notAfter: Date.parse(ticket.notAfter),
          openedBy: actor.id,
          openedAt: now.getTime(),
        });
      deps.audit(tx, {
        type: 'batch.opened',
        actor,
        requestId,
        outcome: 'done',
        subject: { ticket: ticket.id, model: ticket.model },
        detail: { quota: ticket.quota, signer, sha256, notAfter: ticket.notAfter },
      });
      return false;
    });
    return { ticket, repeated };
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') {
      await deps.refusals.refused({ what: 'open batch', error, actor, requestId });
    }
    throw error;
  }
}

/** Whether its signatures are good by the policy in force: whoever signed it may have left since, and others have signed. */
function isAccepted({ text }: Pick<Ticket, 'text'>, { policy }: Pick<ProvisioningDeps, 'policy'>): boolean {
  try {
    verifyTicket(text, policy);
    return true;
  } catch (error) {
    if (error instanceof KeysteadError) return false;
    throw error;
  }
}
