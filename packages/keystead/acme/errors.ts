import { KeysteadError } from '@keystead/core/errors';
import type { Identifier } from './identifier.ts';

/** Identifiers of one request that are refused, each with its reason (RFC 8555 section 6.7.1). */
export class RejectedIdentifiers extends KeysteadError {
  readonly rejected: readonly { readonly identifier: Identifier; readonly error: KeysteadError }[];

  constructor(rejected: RejectedIdentifiers['rejected']) {
    const [first] = rejected;
    const same = first !== undefined && rejected.every(({ error }) => error.code === first.error.code);
    const code = same && first.error.code.startsWith('acme.') ? first.error.code : 'acme.identifier-rejected';
    super(code, {
      field: 'identifiers',
      seen: rejected
        .map(({ identifier }) => identifier.value.slice(0, 80))
        .join(', ')
        .slice(0, 300),
    });
    this.rejected = rejected;
  }
}

/** Somebody asks too often. */
export class RateLimited extends KeysteadError {
  readonly retryAfterSeconds: number;

  constructor(what: string, retryAfterSeconds: number) {
    super('acme.rate-limited', { field: what, remedy: `ask again in ${retryAfterSeconds} s` });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** A key that has an account already, where a key without one is asked for (RFC 8555 section 7.3.5). */
export class AccountKeyTaken extends KeysteadError {
  readonly accountId: string;

  constructor(accountId: string) {
    super('acme.account-key-taken', { field: 'jwk' });
    this.accountId = accountId;
  }
}
