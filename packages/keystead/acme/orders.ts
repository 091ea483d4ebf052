import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type IssuerName, requireAuthorisedNames } from '@keystead/core/lifecycle';
import type { AcmeChallengeType, AcmeOrderRow, AcmeOrderState, Reader, Tx } from '../store/index.ts';
import { type Account, type AcmeDeps, actorOfAccount, newId, newToken } from './deps.ts';
import { RateLimited, RejectedIdentifiers } from './errors.ts';
import type { Identifier } from './identifier.ts';
import { identifierOf, MOST_IDENTIFIERS, type OrderedName, orderedNames, subjectOfNames } from './identifiers.ts';
import { type Problem, parseProblem, problemOf } from './problem.ts';
import { RateLimit } from './rate-limits.ts';
import { AUTHORIZATION_STATES, CHALLENGE_STATES, ORDER_STATES } from './states.ts';

/** An order as its account sees it. */
export interface OrderView {
  readonly id: string;
  readonly state: AcmeOrderState;
  readonly expires: string;
  readonly identifiers: readonly Identifier[];
  readonly authorizations: readonly string[];
  readonly error?: Problem;
  readonly replaces?: CertificateName;
  /** When to ask again, while it is being worked on. */
  readonly retryAfterSeconds?: number;
}

/** A certificate of ours. */
export interface CertificateName {
  readonly issuer: IssuerName;
  readonly serial: Serial;
}

export interface NewOrder {
  readonly identifiers: readonly Identifier[];
  /** The certificate that this order's one follows. */
  readonly replaces?: CertificateName;
}

/** Which challenges an identifier can be shown by: any one of them is enough. RFC 8738 section 4 has no dns-01. */
export function challengesFor({ type, wildcard }: OrderedName): readonly AcmeChallengeType[] {
  if (type === 'permanent-identifier') return ['device-attest-01'];
  if (type === 'ip') return ['http-01', 'tls-alpn-01'];
  return wildcard ? ['dns-01'] : ['http-01', 'dns-01', 'tls-alpn-01'];
}

/** How many orders one page of an account's list has. */
const PAGE = 50;
/** How many orders are removed in one transaction. */
const REMOVED_AT_ONCE = 200;

/** Orders: what an account asks for, and what became of it. */
export class Orders {
  readonly #deps: AcmeDeps;
  readonly #perHour: RateLimit;

  constructor(deps: AcmeDeps) {
    this.#deps = deps;
    this.#perHour = new RateLimit('orders of this account', deps.settings.limits.ordersPerHour, 3600, deps.clock);
  }

  /**
   * @throws RejectedIdentifiers, RateLimited; KeysteadError `acme.malformed`, `acme.already-replaced`, `authorisation.*`,
   *   `store.*`. What an authorisation does not allow is audited.
   */
  async create(account: Account, order: NewOrder, requestId: string): Promise<OrderView> {
    const { clock, settings, store } = this.#deps;
    const { identifiers } = order;
    if (identifiers.length === 0 || identifiers.length > MOST_IDENTIFIERS) {
      throw new KeysteadError('acme.malformed', { field: 'identifiers', seen: `${identifiers.length} of them` });
    }
    this.#perHour.take(account.id);
    const names = orderedNames(identifiers);
    await this.#requireAllowed(account, names, requestId);
    const now = clock.now().getTime();
    return store.commit((tx) => {
      const open = tx.acme.countOpenOrders(account.id, now);
      if (open >= settings.limits.openOrders) throw new RateLimited(`open orders of this account: ${open}`, 600);
      if (order.replaces !== undefined) requireReplaceable(tx, { account, certificate: order.replaces, names, now });
      const row: AcmeOrderRow = {
        id: newId(),
        accountId: account.id,
        state: ORDER_STATES.initial,
        identifiers: JSON.stringify(names.map(identifierOf)),
        expiresAt: now + settings.orderSeconds * 1000,
        createdAt: now,
        replacesIssuer: order.replaces?.issuer ?? null,
        replacesSerial: order.replaces?.serial ?? null,
        csr: null,
        error: null,
        issuer: null,
        serial: null,
      };
      tx.acme.insertOrder(row);
      for (const name of names) insertAuthorization(tx, row, name);
      this.#deps.audit(tx, {
        type: 'acme.order-created',
        actor: actorOfAccount(account),
        requestId,
        outcome: 'done',
        subject: { account: account.id, order: row.id },
        detail: {
          names: names.map((name) => identifierOf(name).value).join(' '),
          replaces: order.replaces?.serial ?? null,
        },
      });
      return this.#viewIn(tx, row);
    });
  }

  /** @throws KeysteadError `acme.unknown`, also for an order of another account. */
  view(account: Account, id: string): OrderView {
    return this.#deps.store.read((records) => this.#viewIn(records, this.own(records, account, id)));
  }

  /** The newest orders of an account, and where the next page begins (RFC 8555 section 7.1.2.1). */
  list(account: Account, after?: string): { readonly ids: readonly string[]; readonly next?: string } {
    return this.#deps.store.read((records) => {
      const before = after === undefined ? undefined : this.own(records, account, after);
      const ids = records.acme.ordersOf(account.id, before, PAGE).map(({ id }) => id);
      const next = ids.length === PAGE ? ids.at(-1) : undefined;
      return { ids, next };
    });
  }

  /** @throws KeysteadError `acme.unknown`. */
  own(records: Reader, account: Account, id: string): AcmeOrderRow {
    const row = records.acme.order(id);
    if (row === undefined || row.accountId !== account.id) {
      throw new KeysteadError('acme.unknown', { field: 'order', seen: id.slice(0, 40) });
    }
    return row;
  }

  viewOf(id: string): OrderView {
    return this.#deps.store.read((records) => {
      const row = records.acme.order(id);
      if (row === undefined) throw new KeysteadError('acme.unknown', { field: 'order', seen: id.slice(0, 40) });
      return this.#viewIn(records, row);
    });
  }

  /**
   * Forgets orders that have long been over, with their authorizations and challenges. An order with a certificate is
   * over when the certificate has ended.
   */
  async clean(): Promise<number> {
    const { clock, settings, store } = this.#deps;
    const before = clock.now().getTime() - settings.keepSeconds * 1000;
    if (store.read((records) => records.acme.ordersOver(before, 1)).length === 0) return 0;
    return store.commit((tx) => {
      const ids = tx.acme.ordersOver(before, REMOVED_AT_ONCE);
      for (const id of ids) tx.acme.deleteOrder(id);
      this.#deps.audit(tx, {
        type: 'acme.orders-forgotten',
        actor: { kind: 'system', id: 'acme' },
        requestId: 'none',
        outcome: 'done',
        subject: { count: ids.length },
        detail: { before: new Date(before).toISOString() },
      });
      return ids.length;
    });
  }

  /** The account's authorisation may be used, and allows each of the names. */
  async #requireAllowed(account: Account, names: readonly OrderedName[], requestId: string): Promise<void> {
    try {
      const { content } = this.#deps.authority.authorisations.usable(account.authorisationId, 'acme').signed;
      const rejected = names.flatMap((name) => {
        try {
          requireAuthorisedNames(content, subjectOfNames([name]));
          return [];
        } catch (error) {
          if (!(error instanceof KeysteadError)) throw error;
          return [{ identifier: identifierOf(name), error }];
        }
      });
      if (rejected.length > 0) throw new RejectedIdentifiers(rejected);
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        const actor = actorOfAccount(account);
        await this.#deps.refusals.refused({ what: 'order by acme', error, actor, requestId });
      }
      throw error;
    }
  }

  #viewIn(records: Reader, row: AcmeOrderRow): OrderView {
    const { replacesIssuer: issuer, replacesSerial: serial } = row;
    const over = isOver(row, this.#deps.clock.now().getTime());
    const expired = problemOf(new KeysteadError('acme.expired', { field: 'order' }));
    const error = row.error === null ? (over ? expired : undefined) : parseProblem(row.error);
    return {
      id: row.id,
      state: over ? 'invalid' : row.state,
      expires: new Date(row.expiresAt).toISOString(),
      identifiers: JSON.parse(row.identifiers) as Identifier[],
      authorizations: records.acme.authorizationsOf(row.id).map(({ id }) => id),
      ...(error === undefined ? {} : { error }),
      ...(issuer === null || serial === null ? {} : { replaces: { issuer, serial } }),
    };
  }
}

/** An order that was not finished in its time is invalid without anybody writing it down. */
export const isOver = ({ state, expiresAt }: AcmeOrderRow, now: number): boolean =>
  (state === 'pending' || state === 'ready') && now >= expiresAt;

function insertAuthorization(tx: Tx, order: AcmeOrderRow, name: OrderedName): void {
  const id = newId();
  tx.acme.insertAuthorization({
    id,
    orderId: order.id,
    accountId: order.accountId,
    type: name.type,
    value: name.value,
    wildcard: name.wildcard ? 1 : 0,
    state: AUTHORIZATION_STATES.initial,
    expiresAt: order.expiresAt,
    attestedSpki: null,
  });
  for (const type of challengesFor(name)) {
    tx.acme.insertChallenge({
      id: newId(),
      authorizationId: id,
      type,
      token: newToken(),
      state: CHALLENGE_STATES.initial,
      keyAuthorization: null,
      attempts: 0,
      nextAttemptAt: null,
      validatedAt: null,
      error: null,
    });
  }
}

/** RFC 9773 section 5: of this account, with a name in common, and replaced by no other order that is not invalid. */
function requireReplaceable(
  tx: Tx,
  v: { account: Account; certificate: CertificateName; names: readonly OrderedName[]; now: number },
): void {
  const { account, names, now } = v;
  const { issuer, serial } = v.certificate;
  const earlier = tx.acme.orderOfCertificate(issuer, serial);
  if (earlier === undefined || earlier.accountId !== account.id) {
    throw new KeysteadError('acme.malformed', { field: 'replaces', seen: 'no certificate of this account' });
  }
  const had = JSON.parse(earlier.identifiers) as Identifier[];
  const shared = names
    .map(identifierOf)
    .some((one) => had.some((two) => two.type === one.type && two.value === one.value));
  if (!shared) throw new KeysteadError('acme.malformed', { field: 'replaces', seen: 'a certificate for other names' });
  const others = tx.acme.ordersReplacing(issuer, serial).filter((one) => one.state !== 'invalid' && !isOver(one, now));
  if (others.length > 0) throw new KeysteadError('acme.already-replaced', { field: 'replaces', seen: serial });
}
