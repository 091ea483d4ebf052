import { KeysteadError } from '@keystead/core/errors';
import type { SignedAuthorisation } from '@keystead/core/lifecycle';
import type { CertificateJournalEntry } from './journal-entry.ts';

interface Uses {
  readonly sha256: string;
  /** SPKI hashes of the keys that were certified with it. */
  readonly keys: Set<string>;
}

/**
 * How often each enrolment authorisation was used, made again from the journal at each start. A use is a key: the same
 * key may come again, for an answer that was lost. REQ-KEY-STO-03
 */
export class AuthorisationUses {
  readonly #uses = new Map<string, Uses>();

  /** Takes an entry of the journal into account. */
  replay({ authorisation, spkiSha256 }: CertificateJournalEntry): void {
    if (authorisation !== undefined) this.#of(authorisation.id, authorisation.sha256).keys.add(spkiSha256);
  }

  /** How many keys were certified with this authorisation. */
  count(id: string): number {
    return this.#uses.get(id)?.keys.size ?? 0;
  }

  /**
   * Takes a use, in one synchronous step, so that requests that run side by side cannot both take the last one.
   * @throws KeysteadError `authorisation.id-reused`, `authorisation.spent`; nothing is taken then.
   */
  take({ content, sha256 }: SignedAuthorisation, spkiSha256: string): void {
    const { id, uses } = content;
    const known = this.#uses.get(id);
    if (known !== undefined && known.sha256 !== sha256) {
      throw new KeysteadError('authorisation.id-reused', { field: 'id', seen: id });
    }
    if (known?.keys.has(spkiSha256) === true) return;
    if (this.count(id) >= uses) {
      throw new KeysteadError('authorisation.spent', { field: 'uses', seen: `${this.count(id)} of ${uses}` });
    }
    this.#of(id, sha256).keys.add(spkiSha256);
  }

  #of(id: string, sha256: string): Uses {
    const known = this.#uses.get(id) ?? { sha256, keys: new Set<string>() };
    this.#uses.set(id, known);
    return known;
  }
}
