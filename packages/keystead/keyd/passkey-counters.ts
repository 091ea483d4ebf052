import { KeysteadError } from '@keystead/core/errors';
import type { PasskeyUse } from '@keystead/core/lifecycle';
import type { JournalEntry } from './journal-entry.ts';

/**
 * How far the authenticators of approvers have counted, made again from the journal at each start. One that says the same
 * number for two statements, or a lower one for what it signed later, is two: it was copied (WebAuthn level 2 sections
 * 6.1.1 and 7.2, step 21). Statements come in no order, so that a lower number of an earlier one is none of that. REQ-KEY-SOD-02
 */
export class PasskeyCounters {
  /** By credential: what each number was said for. */
  readonly #uses = new Map<string, Map<number, PasskeyUse>>();

  replay(entry: JournalEntry): void {
    if (entry.kind === 'firmware-order' || entry.kind === 'firmware-key') this.take(entry.passkeys ?? []);
  }

  /** Remembers uses, of verified statements alone: those of an order to kill a key are taken without being judged. */
  take(uses: readonly PasskeyUse[]): void {
    for (const use of uses) {
      const known = this.#uses.get(use.credential) ?? new Map<number, PasskeyUse>();
      this.#uses.set(use.credential, known);
      if (use.count > 0 || known.size === 0) known.set(use.count, use);
    }
  }

  /** @throws KeysteadError `approval.passkey-counter`. */
  require(uses: readonly PasskeyUse[]): void {
    for (const use of uses) this.#require(use);
  }

  #require({ signer, credential, count, statement, signedAt }: PasskeyUse): void {
    const refused = (what: string): KeysteadError =>
      new KeysteadError('approval.passkey-counter', { field: 'signature', seen: `${signer}: ${what}` });
    const all = this.#uses.get(credential);
    // The same order again.
    if (all?.get(count)?.statement === statement) return;
    for (const known of all?.values() ?? []) {
      // It counts nothing, and never did.
      if (known.count === 0 && count === 0) continue;
      if (known.count === count) throw refused(`${count} for two statements`);
      if (count === 0) throw refused(`0, after ${known.count}`);
      if (known.count > count && known.signedAt < signedAt)
        throw refused(`${count} at ${signedAt}, after ${known.count} at ${known.signedAt}`);
    }
  }
}
