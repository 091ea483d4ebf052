import { KeysteadError } from '@keystead/core/errors';
import type { AcmeAuthorizationRow, AcmeChallengeRow, Reader, Tx } from '../store/index.ts';
import {
  type AuthorizationView,
  authorizationView,
  type ChallengeView,
  challengeView,
  isExpired,
} from './authorization-view.ts';
import { advanceOrder, failOrder } from './authorized-order.ts';
import { type Account, type AcmeDeps, actorOfAccount } from './deps.ts';
import { problemOf } from './problem.ts';
import { RateLimit } from './rate-limits.ts';
import { AUTHORIZATION_STATES, CHALLENGE_STATES, stateAfter } from './states.ts';
import { Trials, type Tried, type Try } from './trials.ts';

/** What a device's statement showed. */
export interface Attested {
  /** SHA-256 of the one key that may be certified, where the statement names it. */
  readonly spkiSha256: AcmeAuthorizationRow['attestedSpki'];
  readonly how: string;
}
/** Checks a device's statement. @throws KeysteadError. */
export type Attest = (
  deviceId: string,
  v: { payload: unknown; keyAuthorization: string; requestId: string },
) => Promise<Attested>;

/**
 * Authorizations and their challenges. A challenge is tried by the schedule of the settings, measured by the clock:
 * what is due stands in the records, so that a restart forgets nothing.
 */
export class Authorizations {
  readonly #deps: AcmeDeps;
  readonly #attest: Attest;
  readonly #failures: RateLimit;
  readonly #trials: Trials;

  constructor(deps: AcmeDeps, look: Try, attest: Attest) {
    this.#deps = deps;
    this.#attest = attest;
    this.#trials = new Trials(deps, look, (tried) => this.#record(tried));
    const { failuresPerHour } = deps.settings.limits;
    this.#failures = new RateLimit('failed challenges of this account', failuresPerHour, 3600, deps.clock);
  }

  /** @throws KeysteadError `acme.unknown`, also for what is another account's. */
  view(account: Account, id: string): AuthorizationView {
    return this.#deps.store.read((records) => authorizationView(records, this.#own(records, account, id), this.#now()));
  }

  /** @throws KeysteadError `acme.unknown`. */
  challenge(account: Account, id: string): ChallengeView {
    return this.#deps.store.read((records) => {
      const row = records.acme.challenge(id);
      if (row === undefined) throw unknown('challenge', id);
      this.#own(records, account, row.authorizationId);
      return challengeView(row, this.#now());
    });
  }

  /** The account gives an authorization up (RFC 8555 section 7.5.2): an order that leans on it is invalid. */
  async deactivate(account: Account, id: string, requestId: string): Promise<AuthorizationView> {
    return this.#deps.store.commit((tx) => {
      const row = this.#own(tx, account, id);
      if (row.state === 'deactivated') return authorizationView(tx, row, this.#now());
      if (isExpired(row, this.#now())) throw new KeysteadError('acme.expired', { field: 'authorization' });
      const next = { ...row, state: stateAfter(AUTHORIZATION_STATES, row.state, 'deactivate') };
      tx.acme.setAuthorization(next);
      for (const one of tx.acme.challengesOf(id)) tx.acme.setChallenge({ ...one, nextAttemptAt: null });
      failOrder(tx, row.orderId, new KeysteadError('acme.state', { field: 'authorization', seen: 'deactivated' }));
      this.#tell(tx, 'acme.authorization-deactivated', { account, row, requestId });
      return authorizationView(tx, next, this.#now());
    });
  }

  /**
   * The account says that it is ready. A challenge of a host is tried at once and from time to time; one of a device
   * is judged here and now. To say it again changes nothing.
   * @throws RateLimited; KeysteadError `acme.unknown`, `acme.state`, `acme.expired`; for a device what is wrong with its
   *   statement, after that was recorded.
   */
  async answer(account: Account, id: string, payload: unknown, requestId: string): Promise<ChallengeView> {
    const { clock, store } = this.#deps;
    const known = this.challenge(account, id);
    if (known.state !== 'pending') return known;
    this.#failures.require(account.id);
    const now = clock.now().getTime();
    const answered = await store.commit((tx) => {
      const row = tx.acme.challenge(id);
      if (row === undefined) throw unknown('challenge', id);
      const authorization = this.#own(tx, account, row.authorizationId);
      if (row.state !== 'pending') return undefined;
      if (isExpired(authorization, this.#now())) throw new KeysteadError('acme.expired', { field: 'authorization' });
      if (authorization.state !== 'pending') {
        throw new KeysteadError('acme.state', { field: 'authorization', seen: authorization.state });
      }
      const next: AcmeChallengeRow = {
        ...row,
        state: stateAfter(CHALLENGE_STATES, row.state, 'answer'),
        keyAuthorization: `${row.token}.${account.thumbprint}`,
        nextAttemptAt: row.type === 'device-attest-01' ? null : now,
      };
      tx.acme.setChallenge(next);
      return { challenge: next, authorization };
    });
    if (answered === undefined) return this.challenge(account, id);
    if (answered.challenge.type === 'device-attest-01') await this.#judge(account, answered, payload, requestId);
    else this.#trials.start(id);
    return this.challenge(account, id);
  }

  /** Tries what is due. Resolves when all of it was tried. */
  tick(): Promise<void> {
    return this.#trials.tick();
  }

  /** Hangs up on every host. What was not finished is tried again after the next start. */
  close(): Promise<void> {
    return this.#trials.close();
  }

  async #judge(
    account: Account,
    v: { challenge: AcmeChallengeRow; authorization: AcmeAuthorizationRow },
    payload: unknown,
    requestId: string,
  ): Promise<void> {
    const { challenge, authorization } = v;
    const keyAuthorization = challenge.keyAuthorization ?? '';
    try {
      const { spkiSha256, how } = await this.#attest(authorization.value, { payload, keyAuthorization, requestId });
      await this.#record({ account, challengeId: challenge.id, attestedSpki: spkiSha256, how, requestId });
    } catch (error) {
      const failure =
        error instanceof KeysteadError ? error : new KeysteadError('internal.unexpected', { cause: error });
      // A statement is judged once: there is nothing that a later try would find otherwise.
      const how = challenge.type;
      await this.#record({
        account,
        challengeId: challenge.id,
        failure,
        final: true,
        attestedSpki: null,
        how,
        requestId,
      });
      throw error;
    }
  }

  /** Writes down how a try went, and what follows from it for authorization and order. */
  async #record(v: Tried): Promise<void> {
    const { clock, settings, store } = this.#deps;
    const { account, failure, requestId = 'none' } = v;
    const now = clock.now().getTime();
    const lost = await store.commit((tx) => {
      const row = tx.acme.challenge(v.challengeId);
      const authorization = row === undefined ? undefined : tx.acme.authorization(row.authorizationId);
      // Given up, or over, while the host was looked at.
      if (row?.state !== 'processing' || authorization?.state !== 'pending') return false;
      const attempts = row.attempts + 1;
      const done = { ...row, attempts, nextAttemptAt: null };
      if (failure === undefined) {
        const state = stateAfter(CHALLENGE_STATES, row.state, 'prove');
        tx.acme.setChallenge({ ...done, state, validatedAt: now, error: null });
        const proven = stateAfter(AUTHORIZATION_STATES, authorization.state, 'prove');
        const expiresAt = now + settings.authorizationSeconds * 1000;
        tx.acme.setAuthorization({ ...authorization, state: proven, expiresAt, attestedSpki: v.attestedSpki });
        this.#tell(tx, 'acme.authorization-valid', { account, row: authorization, requestId, how: v.how });
        advanceOrder(tx, authorization.orderId);
        return false;
      }
      const error = JSON.stringify(problemOf(failure));
      const wait = settings.retrySeconds[attempts - 1];
      const over = now >= authorization.expiresAt;
      if (v.final !== true && wait !== undefined && !over && failure.code !== 'acme.account-not-valid') {
        tx.acme.setChallenge({ ...row, attempts, nextAttemptAt: now + wait * 1000, error });
        return false;
      }
      tx.acme.setChallenge({ ...done, state: stateAfter(CHALLENGE_STATES, row.state, 'fail'), error });
      const state = stateAfter(AUTHORIZATION_STATES, authorization.state, 'fail');
      tx.acme.setAuthorization({ ...authorization, state });
      const detail = { how: v.how, code: failure.code, seen: failure.seen?.slice(0, 240).toWellFormed() ?? null };
      this.#tell(tx, 'acme.authorization-invalid', { account, row: authorization, requestId, ...detail });
      failOrder(tx, authorization.orderId, failure);
      return true;
    });
    if (!lost) return;
    try {
      this.#failures.take(account.id);
    } catch {
      // Said when the next challenge is answered.
    }
  }

  #tell(
    tx: Tx,
    type: string,
    v: {
      account: Account;
      row: AcmeAuthorizationRow;
      requestId: string;
      how?: string;
      code?: string;
      seen?: string | null;
    },
  ): void {
    const { account, row, requestId, how, code, seen } = v;
    const name = `${row.wildcard === 1 ? '*.' : ''}${row.value}`;
    const detail = { name, ...(how === undefined ? {} : { how }), ...(code === undefined ? {} : { code }) };
    this.#deps.audit(tx, {
      type,
      actor: actorOfAccount(account),
      requestId,
      outcome: code === undefined ? 'done' : 'refused',
      subject: { account: account.id, order: row.orderId, authorization: row.id },
      detail: seen === undefined ? detail : { ...detail, seen },
    });
  }

  #own(records: Reader, account: Account, id: string): AcmeAuthorizationRow {
    const row = records.acme.authorization(id);
    if (row === undefined || row.accountId !== account.id) throw unknown('authorization', id);
    return row;
  }

  #now(): number {
    return this.#deps.clock.now().getTime();
  }
}

const unknown = (field: string, id: string): KeysteadError =>
  new KeysteadError('acme.unknown', { field, seen: id.slice(0, 40) });
