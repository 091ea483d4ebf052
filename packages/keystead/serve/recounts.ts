import { KeysteadError } from '@keystead/core/errors';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';

export interface RecountsDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'recount' | 'status' | 'trust'>;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
}

/** The order that was recorded last. */
const LAST = 'recount.order';

/** How keyd's journal stands to its counter, and the orders to go on. keyd decides; here they are recorded. REQ-KEY-PROV-01 */
export class Recounts {
  readonly #deps: RecountsDeps;

  constructor(deps: RecountsDeps) {
    this.#deps = deps;
  }

  /** What an order must name: the counter, the journal, and which keyd it is. */
  async show(): Promise<Result<'status'>['count'] & { log: string }> {
    const { keyd } = this.#deps;
    return { ...(await keyd.status()).count, log: (await keyd.trust()).vkey };
  }

  /**
   * Brings an order to keyd, and records it with its audit entry.
   * @throws KeysteadError what keyd refuses, audited; `store.*`: then it is carried out, and is recorded when it is
   *   brought again.
   */
  async carryOut(order: string, actor: AuditEvent['actor'], requestId: string): Promise<Result<'recount'>> {
    const done = await this.#asked(order, actor, requestId);
    await this.#deps.store.commit((tx) => {
      if (tx.meta(LAST) === done.orderSha256) return;
      tx.setMeta(LAST, done.orderSha256);
      this.#deps.audit(tx, {
        type: 'journal.recounted',
        actor,
        requestId,
        outcome: 'done',
        subject: { orderSha256: done.orderSha256 },
        detail: {
          counter: done.counter.name,
          value: done.counter.value,
          journal: done.journal,
          signers: done.signers.join(', '),
          at: done.at.toISOString(),
        },
      });
    });
    return done;
  }

  async #asked(order: string, actor: AuditEvent['actor'], requestId: string): Promise<Result<'recount'>> {
    try {
      return await this.#deps.keyd.recount({ order, requestId });
    } catch (error) {
      if (error instanceof KeysteadError) {
        await this.#deps.refusals.refused({ what: 'recount', error, actor, requestId });
      }
      throw error;
    }
  }
}
