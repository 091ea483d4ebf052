import { KeysteadError } from '@keystead/core/errors';
import type { AcmeAuthorizationRow, AcmeChallengeType } from '../store/index.ts';
import type { Account, AcmeDeps } from './deps.ts';
import type { Identifier } from './identifier.ts';

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

/** How a try of a challenge went. */
export interface Tried {
  readonly account: Account;
  readonly challengeId: string;
  readonly failure?: KeysteadError;
  /** Whether a later try would find nothing else. */
  readonly final?: boolean;
  readonly attestedSpki: AcmeAuthorizationRow['attestedSpki'];
  readonly how: string;
  readonly requestId?: string;
}

/** So many hosts are looked at at once; the rest wait for the next round. */
const MOST_AT_ONCE = 32;

/** The tries of challenges that are under way, by the schedule that stands in the records. */
export class Trials {
  readonly #deps: AcmeDeps;
  readonly #try: Try;
  readonly #record: (tried: Tried) => Promise<void>;
  readonly #running = new Map<string, Promise<void>>();
  readonly #end = new AbortController();

  /** @param record writes down how a try went. */
  constructor(deps: AcmeDeps, look: Try, record: (tried: Tried) => Promise<void>) {
    this.#deps = deps;
    this.#try = look;
    this.#record = record;
  }

  /** Tries what is due. Resolves when all of it was tried. */
  async tick(): Promise<void> {
    const { clock, store } = this.#deps;
    const room = MOST_AT_ONCE - this.#running.size;
    if (room > 0) {
      const due = store.read((records) => records.acme.challengesDue(clock.now().getTime(), MOST_AT_ONCE));
      for (const { id } of due.filter((one) => !this.#running.has(one.id)).slice(0, room)) this.start(id);
    }
    await Promise.all(this.#running.values());
  }

  /** Hangs up on every host. What was not finished is tried again after the next start. */
  async close(): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#running.values());
  }

  /** Tries it now, where there is room. */
  start(id: string): void {
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
