import type { Serial } from '@keystead/core/bytes';
import { type IssuerId, STATION_PROFILE } from '@keystead/core/lifecycle';
import type { CertificateJournalEntry } from './journal-entry.ts';

/**
 * The stations that keyd has made, again from the journal at each start: the server CA makes other certificates of hosts,
 * and none of those is one, whatever it says in it.
 */
export class Stations {
  readonly #names = new Map<string, string>();

  /** Takes a certificate into account whose entry in the journal is durable. */
  saw(entry: Pick<CertificateJournalEntry, 'profile' | 'issuer' | 'serial' | 'subject'>): void {
    if (entry.profile !== STATION_PROFILE) return;
    this.#names.set(keyOf(entry.issuer, entry.serial as Serial), entry.subject);
  }

  /** The station whose certificate this is; undefined for every other certificate. */
  named(issuer: IssuerId, serial: Serial): string | undefined {
    return this.#names.get(keyOf(issuer, serial));
  }
}

const keyOf = (issuer: IssuerId, serial: Serial): string => `${issuer} ${serial}`;
