import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type ApprovalQuorum,
  kindOfOrder,
  parseRevocationStatement,
  type RevocationAct,
  type RevocationSelector,
  type RevocationStatementOrder,
  requireAgreed,
  requireInvalidityDate,
  requireRevocationKind,
  revocationQuorum,
  verifyRevocationStatements,
} from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { RevocationActRow, Tx } from '../store/index.ts';
import type { AskedBy } from './authorisations.ts';
import type { FinalReason } from './certificate-changes.ts';
import type { AuthorityDeps } from './deps.ts';
import { audited, type Revocation, subjectOf } from './revocation.ts';
import { LISTED, newRow, openAct, requestEvent, requireAlone, requireSameList } from './revocation-act-rows.ts';
import { type ActView, actView } from './revocation-act-view.ts';
import { RevocationRun, statementsOf } from './revocation-run.ts';
import { boundList, boundTo, type CaIdentities, caIdentities, namedBy, resolve, type Selector } from './selection.ts';
import type { CertificateStatus } from './status.ts';
import { requireClock } from './time.ts';

/** What an operator asks for, whatever it takes. */
export interface ActOrder extends AskedBy {
  readonly selector: Selector;
  readonly act: RevocationAct;
  readonly reason?: FinalReason;
  readonly invalidityDate?: Date;
}

/** Requests that wait for others; beyond, somebody asks without end. */
const MOST_PROPOSED = 200;

/**
 * Revocations that take several people or several transactions, and releases of holds. An act that was begun is always
 * finished: at the next start, when everything stops in the middle. REQ-KEY-REV-01, REQ-KEY-SOD-02
 */
export class RevocationActs {
  readonly #deps: AuthorityDeps;
  readonly #status: CertificateStatus;
  readonly #run: RevocationRun;

  constructor(deps: AuthorityDeps, revocation: Revocation, status: CertificateStatus) {
    this.#deps = deps;
    this.#status = status;
    this.#run = new RevocationRun(deps, revocation);
  }

  /**
   * Begins an act on a batch or a CA, which one operator alone may order.
   * @returns the act as it is recorded, and `done`, which resolves when it is carried out.
   * @throws KeysteadError `revocation.*`, `ticket.unknown`, audited; `store.*`, `clock.went-back`.
   */
  begin(order: ActOrder): Promise<{ view: ActView; done: Promise<ActView> }> {
    return this.#audited('revoke', order, subjectOf(order.selector), async () => {
      requireClock(this.#deps);
      const now = this.#deps.clock.now();
      requireInvalidityDate(order.invalidityDate, now);
      const cas = caIdentities(this.#deps);
      const row = await this.#deps.store.commit((tx) => {
        const { selector, reason } = resolve(tx, order.selector, order.reason, cas);
        const kind = { selector: selector.kind, act: order.act, reason };
        requireRevocationKind(kind, 'operator');
        const { approvals, roles } = revocationQuorum(this.#deps.policy, kind);
        if (approvals > 0) {
          const seen = `${approvals} of ${roles.join(', ')}, besides the one who asks`;
          throw new KeysteadError('revocation.quorum-needed', { field: selector.kind, seen });
        }
        this.#requireReady(selector, reason);
        const bound = boundTo(boundList(tx, { selector, act: order.act, reason, now }, cas));
        const made: RevocationActRow = {
          ...newRow(toHex(randomBytes(8)), { selector, act: order.act, ...bound }, order, now),
          reason: reason ?? null,
          invalidityAt: order.invalidityDate?.getTime() ?? null,
          state: 'running',
          startedAt: now.getTime(),
        };
        requireAlone(tx, made);
        tx.insertRevocationAct(made);
        return made;
      });
      return { view: this.#viewOf(row), done: this.#finish(row.id) };
    });
  }

  /**
   * Takes an operator's signed request. Where the policy asks for nobody else it is carried out at once.
   * @throws KeysteadError `revocation-request.*`, `revocation.*`, audited.
   */
  propose(statement: string, by: AskedBy): Promise<{ view: ActView; done?: Promise<ActView> }> {
    return this.#audited('request revocation', by, {}, async () => {
      requireClock(this.#deps);
      const now = this.#deps.clock.now();
      const agreed = verifyRevocationStatements([statement], this.#deps.policy, now);
      requireOwnSignature(agreed.proposer, by);
      const { order } = agreed;
      requireRevocationKind(kindOfOrder(order), 'operator');
      requireInvalidityDate(dateOf(order.invalidityDate), now);
      const cas = caIdentities(this.#deps);
      const row = await this.#deps.store.commit((tx) => {
        const known = tx.revocationAct(order.id);
        if (known !== undefined) {
          if (statementsOf(known)[0] === statement) return known;
          throw new KeysteadError('revocation-request.order-used', { field: 'order.id', seen: order.id });
        }
        resolve(tx, namedBy(order.selector), order.reason, cas);
        requireSameList(tx, order, now, cas);
        if (tx.revocationActs('proposed', MOST_PROPOSED).length >= MOST_PROPOSED) {
          throw new KeysteadError('revocation-request.too-many', { field: 'order', seen: `${MOST_PROPOSED} wait` });
        }
        const made: RevocationActRow = {
          ...newRow(order.id, order, by, now),
          reason: order.reason ?? null,
          invalidityAt: dateOf(order.invalidityDate)?.getTime() ?? null,
          statements: JSON.stringify([statement]),
          expiresAt: Date.parse(agreed.expiresAt),
        };
        tx.insertRevocationAct(made);
        this.#deps.audit(tx, requestEvent('revocation.requested', made, by, { orderSha256: agreed.orderSha256 }));
        return agreed.needed === 0 ? this.#start(tx, made, order, cas) : made;
      });
      if (row.state === 'proposed') return { view: this.#viewOf(row) };
      return { view: this.#viewOf(row), done: this.#finish(row.id) };
    });
  }

  /**
   * Adds the approval of another person; with the last one that is needed the act is carried out.
   * @throws KeysteadError `revocation-request.*`, `revocation.*`, audited; the request stays as it was.
   */
  approve(id: string, statement: string, by: AskedBy): Promise<{ view: ActView; done?: Promise<ActView> }> {
    return this.#audited('approve revocation', by, { request: id }, async () => {
      requireClock(this.#deps);
      const now = this.#deps.clock.now();
      const cas = caIdentities(this.#deps);
      requireOwnSignature(parseRevocationStatement(statement).signer, by);
      const row = await this.#deps.store.commit((tx) => {
        const known = openAct(tx, id);
        const statements = [...statementsOf(known), statement];
        const agreed = verifyRevocationStatements(statements, this.#deps.policy, now);
        if (agreed.order.id !== id) {
          throw new KeysteadError('revocation-request.other-order', { field: 'order.id', seen: agreed.order.id });
        }
        // Before it counts: an approval of what has changed meanwhile would be one of something else.
        requireSameList(tx, agreed.order, now, cas);
        const expiresAt = Date.parse(agreed.expiresAt);
        tx.setRevocationStatements(id, JSON.stringify(statements), expiresAt);
        const signed = { ...known, statements: JSON.stringify(statements), expiresAt };
        this.#deps.audit(tx, requestEvent('revocation.approved', signed, by, { approvals: agreed.approvers.length }));
        return agreed.approvers.length >= agreed.needed ? this.#start(tx, signed, agreed.order, cas) : signed;
      });
      if (row.state === 'proposed') return { view: this.#viewOf(row) };
      return { view: this.#viewOf(row), done: this.#finish(id) };
    });
  }

  /** Ends a request that waits. @throws KeysteadError `revocation-request.unknown`, `revocation-request.closed`. */
  withdraw(id: string, by: AskedBy): Promise<ActView> {
    return this.#audited('withdraw revocation', by, { request: id }, async () => {
      const row = await this.#deps.store.commit((tx) => {
        const known = tx.revocationAct(id);
        if (known?.state === 'withdrawn') return known;
        const open = openAct(tx, id);
        const finishedAt = this.#deps.clock.now().getTime();
        tx.moveRevocationAct({ id, state: 'withdrawn', startedAt: null, finishedAt });
        this.#deps.audit(tx, requestEvent('revocation.withdrawn', open, by, {}));
        return { ...open, state: 'withdrawn' as const, finishedAt };
      });
      return this.#viewOf(row);
    });
  }

  /** @throws KeysteadError `revocation-request.unknown`. */
  show(id: string): ActView {
    const row = this.#deps.store.read((records) => records.revocationAct(id));
    if (row === undefined) throw new KeysteadError('revocation-request.unknown', { field: 'id', seen: id });
    return this.#viewOf(row);
  }

  /** Those that wait or are being carried out, the oldest first. */
  open(): ActView[] {
    const rows = this.#deps.store.read((records) => [
      ...records.revocationActs('running', LISTED),
      ...records.revocationActs('proposed', LISTED),
    ]);
    return rows.map((row) => this.#viewOf(row));
  }

  /** Finishes what was begun when everything stopped, or while keyd was away. @throws KeysteadError of keyd or the store. */
  async resume(): Promise<void> {
    for (const { id } of this.#deps.store.read((records) => records.revocationActs('running', LISTED))) {
      try {
        await this.#run.finish(id);
      } catch (error) {
        // One that is refused has come to its end, and stands in the log; the others go on.
        if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      }
    }
  }

  /** What the policy asks for. */
  quorumOf(selector: RevocationSelector, act: RevocationAct, reason: FinalReason | undefined): ApprovalQuorum {
    return revocationQuorum(this.#deps.policy, { selector: selector.kind, act, reason });
  }

  #start(tx: Tx, row: RevocationActRow, order: RevocationStatementOrder, cas: CaIdentities): RevocationActRow {
    const now = this.#deps.clock.now();
    requireAgreed(verifyRevocationStatements(statementsOf(row), this.#deps.policy, now));
    this.#requireReady(order.selector, order.reason);
    requireSameList(tx, order, now, cas);
    const started = { ...row, state: 'running' as const, startedAt: now.getTime() };
    requireAlone(tx, started);
    tx.moveRevocationAct({ id: row.id, state: 'running', startedAt: started.startedAt, finishedAt: null });
    return started;
  }

  /** Of a compromised CA nothing is revoked before its key is stopped: it would go on to issue. */
  #requireReady(selector: RevocationSelector, reason: FinalReason | undefined): void {
    if (selector.kind !== 'ca' || reason !== 'cACompromise' || this.#status.isCompromised(selector.ca)) return;
    throw new KeysteadError('revocation.ca-key-in-use', { field: 'ca', seen: selector.ca });
  }

  #finish(id: string): Promise<ActView> {
    const done = this.#run.finish(id).then(() => this.show(id));
    // Whoever does not wait for it looks the act up.
    done.catch(() => undefined);
    return done;
  }

  #viewOf(row: RevocationActRow): ActView {
    return actView(row, this.#deps.policy, this.#deps.clock.now().getTime());
  }

  #audited<T>(what: string, by: AskedBy, subject: AuditEvent['subject'], act: () => Promise<T>): Promise<T> {
    const { actor, requestId } = by;
    return audited(this.#deps, { what, actor, requestId, subject }, act);
  }
}

const dateOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text));

/** An operator brings only what they signed themselves. @throws KeysteadError `revocation-request.signer-forbidden`. */
function requireOwnSignature(signer: string, { actor }: AskedBy): void {
  if (actor.id === signer) return;
  throw new KeysteadError('revocation-request.signer-forbidden', {
    field: 'signer',
    seen: `${signer}, brought by ${actor.id}`,
  });
}
