import type {
  AcmeAuthorizationRow,
  AcmeAuthorizationState,
  AcmeChallengeRow,
  AcmeChallengeState,
  AcmeChallengeType,
  Reader,
} from '../store/index.ts';
import type { Identifier } from './identifier.ts';
import { type Problem, parseProblem } from './problem.ts';

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

/** @param now milliseconds since 1970. */
export function authorizationView(records: Reader, row: AcmeAuthorizationRow, now: number): AuthorizationView {
  const all = records.acme.challengesOf(row.id).map((one) => challengeView(one, now));
  // RFC 8555 section 7.5: of one that is finished only what finished it is shown.
  const settled = all.filter(({ state }) => state === row.state);
  const soonest = all.flatMap((one) => (one.retryAfterSeconds === undefined ? [] : [one.retryAfterSeconds]));
  return {
    id: row.id,
    state: isExpired(row, now) ? 'expired' : row.state,
    expires: new Date(row.expiresAt).toISOString(),
    identifier: { type: row.type, value: row.value },
    wildcard: row.wildcard === 1,
    challenges: row.state === 'pending' || settled.length === 0 ? all : settled,
    ...(soonest.length === 0 ? {} : { retryAfterSeconds: Math.min(...soonest) }),
  };
}

/** @param now milliseconds since 1970. */
export function challengeView(row: AcmeChallengeRow, now: number): ChallengeView {
  const left = row.nextAttemptAt === null ? undefined : row.nextAttemptAt - now;
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

/** Whether one that is pending or valid has come to its end. */
export function isExpired({ state, expiresAt }: AcmeAuthorizationRow, now: number): boolean {
  return (state === 'pending' || state === 'valid') && now >= expiresAt;
}
