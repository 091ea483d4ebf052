import { KeysteadError } from '@keystead/core/errors';
import { type Policy, type SignedSignOn, verifySignOn } from '@keystead/core/lifecycle';
import type { SignOffJournalEntry } from './journal-entry.ts';

/** Verified sign-ons that are remembered: so many stations have one keyd. */
const REMEMBERED = 1024;

/** Sign-ons whose signature and signer are verified by one policy: a shift costs one verification, and not one a unit. */
export class VerifiedSignOns {
  readonly #policy: Policy;
  readonly #known = new Map<string, SignedSignOn>();

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /** @throws KeysteadError `sign-on.*`. */
  verify(text: string): SignedSignOn {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const verified = verifySignOn(text, this.#policy);
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    this.#known.set(text, verified);
    return verified;
  }
}

/** Sign-ons that were ended before their time, made again from the journal at each start. */
export class EndedSignOns {
  /** By hash; when each was ended, and when it would have ended by itself, milliseconds since 1970. */
  readonly #ended = new Map<string, { readonly at: number; readonly until: number }>();

  /** Takes an entry of the journal into account. */
  end({ time, signOnSha256, until }: Pick<SignOffJournalEntry, 'time' | 'signOnSha256' | 'until'>): void {
    const [at, end] = [Date.parse(time), Date.parse(until)];
    // What has ended by itself is refused for that, and need not be remembered.
    for (const [hash, one] of this.#ended) if (one.until <= at) this.#ended.delete(hash);
    if (!this.#ended.has(signOnSha256)) this.#ended.set(signOnSha256, { at, until: end });
  }

  /** When it was ended, milliseconds since 1970; undefined for one that was not. */
  at(sha256: string): number | undefined {
    return this.#ended.get(sha256)?.at;
  }

  /** @throws KeysteadError `sign-on.ended`. */
  requireOpen({ sha256, signer }: SignedSignOn): void {
    const at = this.at(sha256);
    if (at === undefined) return;
    const seen = `${signer}, signed off ${new Date(at).toISOString()}`;
    throw new KeysteadError('sign-on.ended', { field: 'signOn', seen });
  }
}
