import type { Serial } from '@keystead/core/bytes';
import { type IssuerId, TSA_PROFILE } from '@keystead/core/lifecycle';
import type { CertificateJournalEntry } from './journal-entry.ts';

/** One certificate of a key that signs time stamps. */
interface Certified {
  readonly issuer: IssuerId;
  readonly serial: Serial;
}

/**
 * What certificates each key that signs time stamps has had, again from the journal at each start. The file that holds
 * the newest is in no backup, and may be lost: what was revoked of a key must not be.
 */
export class TsaCertificates {
  readonly #ofKey = new Map<string, Certified[]>();

  /** Takes a certificate into account whose entry in the journal is durable. */
  saw({
    profile,
    issuer,
    serial,
    spkiSha256,
  }: Pick<CertificateJournalEntry, 'profile' | 'issuer' | 'serial' | 'spkiSha256'>): void {
    if (profile !== TSA_PROFILE) return;
    const had = this.#ofKey.get(spkiSha256);
    const one = { issuer, serial: serial as Serial };
    if (had === undefined) this.#ofKey.set(spkiSha256, [one]);
    else had.push(one);
  }

  /** Those of the key, the oldest first. */
  of(spkiSha256: string): readonly Certified[] {
    return this.#ofKey.get(spkiSha256) ?? [];
  }
}
