import type { FirmwareCertificateJournalEntry, FirmwareKeyJournalEntry } from './firmware-entries.ts';
import type { JournalEntry, KeyJournalEntry } from './journal-entry.ts';
import type { RestoredJournalEntry } from './restore-entries.ts';

/** What of the journal is about the state of keys. */
export type KeyLedgerEntry =
  | KeyJournalEntry
  | FirmwareKeyJournalEntry
  | FirmwareCertificateJournalEntry
  | RestoredJournalEntry;
const OF_KEYS: ReadonlySet<string> = new Set<KeyLedgerEntry['kind']>([
  'key',
  'firmware-key',
  'firmware-certificate',
  'restored',
]);
export const isOfKeys = (entry: JournalEntry): entry is KeyLedgerEntry & JournalEntry => OF_KEYS.has(entry.kind);

/**
 * Since when each firmware key has been certified, by the SHA-256 of its public key, milliseconds since 1970: its
 * certificate of today may be a later one.
 */
export function firstCertified(orders: readonly KeyLedgerEntry[]): ReadonlyMap<string, number> {
  const began = new Map<string, number>();
  for (const entry of orders) {
    if (entry.kind !== 'firmware-certificate') continue;
    const { spkiSha256: spki, notBefore } = entry;
    began.set(spki, Math.min(Date.parse(notBefore), began.get(spki) ?? Number.POSITIVE_INFINITY));
  }
  return began;
}
