import type { KeysteadError } from '@keystead/core/errors';
import { Accounts } from './accounts.ts';
import { deviceAttest01 } from './attestation/device-attest-01.ts';
import { Authorizations } from './authorizations.ts';
import type { Account, AcmeDeps } from './deps.ts';
import { chainsOf, Finalization } from './finalization.ts';
import { Orders, type OrderView } from './orders.ts';
import { RateLimit } from './rate-limits.ts';
import { RenewalInfo } from './renewal-info.ts';
import { Revocations } from './revocations.ts';
import type { Try } from './trials.ts';
import { validator } from './validation/validator.ts';

/** What is due is looked for this often. */
const TICK_MS = 1_000;
/** Orders that wait for an operator, and what is over, are looked at in every so many rounds. */
const SELDOM = 30;

/**
 * ACME (RFC 8555) for backends, gateways and devices, without its wire: accounts, orders, authorizations, challenges,
 * certificates, renewal information (RFC 9773). What it changes is durable with its audit entry before a call resolves.
 */
export class Acme {
  readonly accounts: Accounts;
  readonly orders: Orders;
  readonly authorizations: Authorizations;
  readonly revocations: Revocations;
  readonly renewals: RenewalInfo;
  /** How often one address may ask, and make accounts. */
  readonly limits: { readonly requests: RateLimit; readonly accounts: RateLimit };
  readonly #deps: AcmeDeps;
  readonly #finalization: Finalization;
  #timer: NodeJS.Timeout | undefined;
  #rounds = 0;

  /** @param look how a host is looked at, where it is not by the settings. */
  constructor(deps: AcmeDeps, look: Try = validator(deps.settings)) {
    this.#deps = deps;
    this.accounts = new Accounts(deps);
    this.orders = new Orders(deps);
    this.authorizations = new Authorizations(deps, look, deviceAttest01(deps));
    this.#finalization = new Finalization(deps, this.orders);
    this.revocations = new Revocations(deps);
    this.renewals = new RenewalInfo(deps);
    const { accountsPerHour, requestsPerMinute } = deps.settings.limits;
    this.limits = {
      requests: new RateLimit('requests from this address', requestsPerMinute, 60, deps.clock),
      accounts: new RateLimit('accounts from this address', accountsPerHour, 3600, deps.clock),
    };
  }

  /** See {@link Finalization.finalize}. */
  finalize(account: Account, orderId: string, csr: Uint8Array, requestId: string): Promise<OrderView> {
    return this.#finalization.finalize(account, orderId, csr, requestId);
  }

  /** An order as it stands; one that is in process is taken up again, so that it moves when its client asks. */
  async order(account: Account, id: string, requestId: string): Promise<OrderView> {
    const view = this.orders.view(account, id);
    if (view.state !== 'processing') return view;
    return this.#finalization.settle(id, requestId).catch(() => this.orders.view(account, id));
  }

  /**
   * The certificate of an order, DER, each chain leaf first; the first chain is the usual one.
   * @throws KeysteadError `acme.unknown`.
   */
  chains(account: Account, orderId: string): ReturnType<typeof chainsOf> {
    return chainsOf(
      this.#deps,
      this.#deps.store.read((records) => this.orders.own(records, account, orderId)),
    );
  }

  /** Audits what the wire refused of a stranger before anything was asked of this room. */
  async refused(error: KeysteadError, requestId: string): Promise<void> {
    const actor = { kind: 'anonymous', id: 'unknown' } as const;
    await this.#deps.refusals.refused({ what: 'acme', error, actor, requestId });
  }

  /** From now on what is due is done by itself. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.tick().catch((error: unknown) => this.#deps.log.error({ err: error }, 'what was due could not be done'));
    }, TICK_MS);
  }

  /** Does what is due. */
  async tick(): Promise<void> {
    await this.authorizations.tick();
    this.#rounds += 1;
    if (this.#rounds % SELDOM === 1) await this.housekeeping();
  }

  /** Takes up orders that a crash or an operator left in process, and forgets what has long been over. */
  async housekeeping(): Promise<void> {
    await this.#finalization.tick();
    await this.orders.clean();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.authorizations.close();
  }
}
