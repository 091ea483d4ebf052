import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId } from '@keystead/core/lifecycle';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Authority, RootCrlPublisher } from '../authority/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';

export interface CaRevocationDeps {
  readonly store: Store;
  readonly keyd: KeydClient;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly authority: Authority;
  /** Undefined where no ceremony has certified a signer. */
  readonly rootCrl: RootCrlPublisher | undefined;
  /** Every key of the CAs as this process knows them; what is revoked is marked here. */
  readonly issuers: { readonly id: IssuerId; revoked: boolean }[];
}

type Told = Result<'trust'>['caRevocations'][number];

/** What came of an order to revoke a CA. */
export interface CaRevoked extends Told {
  /** The number of the indirect CRL of the root that has it; undefined while that could not be made. */
  readonly crl: number | undefined;
}

/**
 * Revocations of CAs between ceremonies. keyd decides and remembers; here each has its entry in the log, once, also when
 * this process ended in between, and the records and the indirect CRL follow. REQ-KEY-REV-01, REQ-KEY-AUD-01
 */
export class CaRevocations {
  readonly #deps: CaRevocationDeps;

  constructor(deps: CaRevocationDeps) {
    this.#deps = deps;
  }

  /**
   * Has keyd carry out an order. The refusal of one is audited before it is thrown.
   * @throws KeysteadError as keyd's `revokeCa`.
   */
  async revoke(statements: string[], asked: { actor: AuditEvent['actor']; requestId: string }): Promise<CaRevoked> {
    const { keyd, refusals, rootCrl } = this.#deps;
    let told: Told;
    try {
      told = await keyd.revokeCa({ statements, requestId: asked.requestId });
    } catch (error) {
      if (error instanceof KeysteadError) await refusals.refused({ what: 'revoke CA', error, ...asked });
      throw error;
    }
    await this.#take(told, asked);
    // What is decided stays decided: a list that cannot be made now is late, and made by the next tick.
    const made = await rootCrl?.publish().catch(() => undefined);
    return { ...told, crl: made?.number };
  }

  /** Takes over what keyd knows and the log does not. Before the first request is taken. */
  async start(revocations: readonly Told[]): Promise<void> {
    for (const told of revocations)
      await this.#take(told, { actor: { kind: 'system', id: 'serve' }, requestId: `ca-revocation-${told.ca}` });
  }

  async #take(told: Told, { actor, requestId }: { actor: AuditEvent['actor']; requestId: string }): Promise<void> {
    const { store, audit, authority, issuers } = this.#deps;
    for (const issuer of issuers) if (issuer.id === told.ca) issuer.revoked = true;
    if (told.reason === 'cACompromise') authority.caCompromised(told.ca, told.at);
    const recorded = `ca.revoked.${told.ca}`;
    if (store.read((records) => records.meta(recorded)) !== undefined) return;
    await store.commit((tx) => {
      if (tx.meta(recorded) !== undefined) return;
      audit(tx, {
        type: 'ca.revoked',
        actor,
        requestId,
        outcome: 'done',
        subject: { issuer: told.ca },
        detail: {
          reason: told.reason,
          ...(told.invalidityDate === undefined ? {} : { invalidityDate: told.invalidityDate.toISOString() }),
          order: told.order,
          revokedAt: told.at.toISOString(),
          proposer: told.by,
          approvers: told.approvers.join(', '),
        },
      });
      tx.setMeta(recorded, told.order);
    });
  }
}
