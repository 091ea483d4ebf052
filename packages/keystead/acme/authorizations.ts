import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type {
  AcmeAuthorizationRow,
  AcmeAuthorizationState,
  AcmeChallengeRow,
  AcmeChallengeState,
  AcmeChallengeType,
  Reader,
  Tx,
} from '../store/index.ts';
import { type Account, type AcmeDeps, actorOfAccount } from './deps.ts';
import type { Identifier } from './identifier.ts';
import { type Problem, parseProblem, problemOf } from './problem.ts';
import { RateLimit } from './rate-limits.ts';
import { AUTHORIZATION_STATES, CHALLENGE_STATES, ORDER_STATES, stateAfter } from './states.ts';

export interface ChallengeView {
  readonly id: string;
  readonly authorizationId: string;
  readonly type: AcmeChallengeType;
  readonly state: AcmeChallengeState;
  readonly token: string;
  readonly validated?: string;
  readonly error?: Problem;
  /** When to ask again, while it is being tried. */
  readonly retryAfterSeconds?: number;
}

export interface AuthorizationView {
  readonly id: string;
  readonly state: AcmeAuthorizationState | 'expired';
  readonly expires: string;
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  readonly challenges: readonly ChallengeView[];
  readonly retryAfterSeconds?: number;
}

/** One challenge as it is to be tried. */
export interface Trial {
  readonly type: Exclude<AcmeChallengeType, 'device-attest-01'>;
  readonly identifier: Identifier;
  readonly token: string;
  /** RFC 8555 section 8.1. */
  readonly keyAuthorization: string;
}

/** Looks at a host. Rejects with a KeysteadError that says what is wrong; resolves when the challenge is met. */
export type Try = (trial: Trial, signal: AbortSignal) => Promise<void>;

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

/** So many hosts are looked at at once; the rest wait for the next round. */
const MOST_AT_ONCE = 32;

/**
 * Authorizations and their challenges. A challenge is tried by the schedule of the settings, measured by the clock:
 * what is due stands in the records, so that a restart forgets nothing.
 */
export class Authorizations {
  readonly #deps: AcmeDeps;
  readonly #try: Try;
  readonly #attest: Attest;
  readonly #failures: RateLimit;
  readonly #running = new Map<string, Promise<void>>();
  readonly #end = new AbortController();

  constructor(deps: AcmeDeps, look: Try, attest: Attest) {
    this.#deps = deps;
    this.#try = look;
    this.#attest = attest;
    const { failuresPerHour } = deps.settings.limits;
    this.#failures = new RateLimit('failed challenges of this account', failuresPerHour, 3600, deps.clock);
  }

  /** @throws KeysteadError `acme.unknown`, also for what is another account's. */
  view(account: Account, id: string): AuthorizationView {
    return this.#deps.store.read((records) => this.#viewIn(records, this.#own(records, account, id)));
  }

  /** @throws KeysteadError `acme.unknown`. */
  challenge(account: Account, id: string): ChallengeView {
    return this.#deps.store.read((records) => {
      const row = records.acme.challenge(id);
      if (row === undefined) throw unknown('challenge', id);
      this.#own(records, account, row.authorizationId);
      return this.#challengeView(row);
    });
  }

  /** The account gives an authorization up (RFC 8555 section 7.5.2): an order that leans on it is invalid. */
  async deactivate(account: Account, id: string, requestId: string): Promise<AuthorizationView> {
    return this.#deps.store.commit((tx) => {
      const row = this.#own(tx, account, id);
      if (row.state === 'deactivated') return this.#viewIn(tx, row);
      if (this.#isExpired(row)) throw new KeysteadError('acme.expired', { field: 'authorization' });
      const next = { ...row, state: stateAfter(AUTHORIZATION_STATES, row.state, 'deactivate') };
      tx.acme.setAuthorization(next);
      for (const one of tx.acme.challengesOf(id)) tx.acme.setChallenge({ ...one, nextAttemptAt: null });
      failOrder(tx, row.orderId, new KeysteadError('acme.state', { field: 'authorization', seen: 'deactivated' }));
      this.#tell(tx, 'acme.authorization-deactivated', { account, row, requestId });
      return this.#viewIn(tx, next);
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
      if (this.#isExpired(authorization)) throw new KeysteadError('acme.expired', { field: 'authorization' });
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
    else this.#start(id);
    return this.challenge(account, id);
  }

  /** Tries what is due. Resolves when all of it was tried. */
  async tick(): Promise<void> {
    const { clock, store } = this.#deps;
    const room = MOST_AT_ONCE - this.#running.size;
    if (room > 0) {
      const due = store.read((records) => records.acme.challengesDue(clock.now().getTime(), MOST_AT_ONCE));
      for (const { id } of due.filter((one) => !this.#running.has(one.id)).slice(0, room)) this.#start(id);
    }
    await Promise.all(this.#running.values());
  }

  /** Hangs up on every host. What was not finished is tried again after the next start. */
  async close(): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#running.values());
  }

  #start(id: string): void {
    // What comes beyond stands in the records as due.
    if (this.#running.has(id) || this.#running.size >= MOST_AT_ONCE || this.#end.signal.aborted) return;
    const running = this.#attempt(id)
      .catch((error: unknown) => this.#deps.log.error({ err: error, challenge: id }, 'a challenge could not be tried'))
      .finally(() => this.#running.delete(id));
    this.#running.set(id, running);
  }

  async #attempt(id: string): Promise<void> {
    const { store } = this.#deps;
    const found = store.read(({ acme }) => {
      const challenge = acme.challenge(id);
      const authorization = challenge === undefined ? undefined : acme.authorization(challenge.authorizationId);
      const account = authorization === undefined ? undefined : acme.account(authorization.accountId);
      return { challenge, authorization, account };
    });
    const { challenge, authorization, account } = found;
    if (challenge?.state !== 'processing' || challenge.nextAttemptAt === null) return;
    if (authorization === undefined || account === undefined) return;
    const { type, token, keyAuthorization } = challenge;
    if (type === 'device-attest-01' || keyAuthorization === null) return;
    let failure: KeysteadError | undefined;
    try {
      if (account.state !== 'valid') throw new KeysteadError('acme.account-not-valid', { field: 'account' });
      const identifier = { type: authorization.type, value: authorization.value };
      await untilEnd(this.#try({ type, token, keyAuthorization, identifier }, this.#end.signal), this.#end.signal);
    } catch (error) {
      if (this.#end.signal.aborted) return;
      if (!(error instanceof KeysteadError)) this.#deps.log.error({ err: error, challenge: id }, 'unexpected failure');
      failure = error instanceof KeysteadError ? error : new KeysteadError('internal.unexpected', { cause: error });
    }
    await this.#record({ account, challengeId: id, failure, attestedSpki: null, how: type });
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
  async #record(v: {
    account: Account;
    challengeId: string;
    failure?: KeysteadError;
    final?: boolean;
    attestedSpki: Attested['spkiSha256'];
    how: string;
    requestId?: string;
  }): Promise<void> {
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

  #isExpired({ state, expiresAt }: AcmeAuthorizationRow): boolean {
    return (state === 'pending' || state === 'valid') && this.#deps.clock.now().getTime() >= expiresAt;
  }

  #viewIn(records: Reader, row: AcmeAuthorizationRow): AuthorizationView {
    const all = records.acme.challengesOf(row.id).map((one) => this.#challengeView(one));
    // RFC 8555 section 7.5: of one that is finished only what finished it is shown.
    const settled = all.filter(({ state }) => state === row.state);
    const soonest = all.flatMap((one) => (one.retryAfterSeconds === undefined ? [] : [one.retryAfterSeconds]));
    return {
      id: row.id,
      state: this.#isExpired(row) ? 'expired' : row.state,
      expires: new Date(row.expiresAt).toISOString(),
      identifier: { type: row.type, value: row.value },
      wildcard: row.wildcard === 1,
      challenges: row.state === 'pending' || settled.length === 0 ? all : settled,
      ...(soonest.length === 0 ? {} : { retryAfterSeconds: Math.min(...soonest) }),
    };
  }

  #challengeView(row: AcmeChallengeRow): ChallengeView {
    const left = row.nextAttemptAt === null ? undefined : row.nextAttemptAt - this.#deps.clock.now().getTime();
    return {
      id: row.id,
      authorizationId: row.authorizationId,
      type: row.type,
      state: row.state,
      token: row.token,
      ...(row.validatedAt === null ? {} : { validated: new Date(row.validatedAt).toISOString() }),
      ...(row.error === null ? {} : { error: parseProblem(row.error) }),
      ...(left === undefined ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(left / 1000)) }),
    };
  }
}

/** A try that does not heed the end is not waited for: what it finds is no longer looked at. */
function untilEnd(trying: Promise<void>, end: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (): void => reject(new Error('the process ends'));
    end.addEventListener('abort', over, { once: true });
    if (end.aborted) over();
    trying.then(resolve, reject).finally(() => end.removeEventListener('abort', over));
  });
}

const unknown = (field: string, id: string): KeysteadError =>
  new KeysteadError('acme.unknown', { field, seen: id.slice(0, 40) });

/** An order is ready when the last of its authorizations is valid. */
function advanceOrder(tx: Tx, orderId: string): void {
  const order = tx.acme.order(orderId);
  if (order?.state !== 'pending') return;
  if (tx.acme.authorizationsOf(orderId).some(({ state }) => state !== 'valid')) return;
  tx.acme.setOrder({ ...order, state: stateAfter(ORDER_STATES, order.state, 'authorize') });
}

/** An order that has not been finalised is invalid when one of its authorizations is. */
function failOrder(tx: Tx, orderId: string, why: KeysteadError): void {
  const order = tx.acme.order(orderId);
  if (order?.state !== 'pending' && order?.state !== 'ready') return;
  const error = JSON.stringify(problemOf(why));
  tx.acme.setOrder({ ...order, state: stateAfter(ORDER_STATES, order.state, 'fail'), error });
}

/** What a dns-01 record holds (RFC 8555 section 8.4): base64url of SHA-256 of the key authorization. */
export const dnsDigest = (keyAuthorization: string): string =>
  Buffer.from(sha256(Buffer.from(keyAuthorization, 'ascii'))).toString('base64url');
