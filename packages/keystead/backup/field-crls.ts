import { readFileSync } from 'node:fs';
import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId } from '@keystead/core/lifecycle';
import { readCrl } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import { loadHierarchy } from '../keyd/hierarchy.ts';
import type { Journal } from '../keyd/journal.ts';
import type { KeydState } from '../keyd/state.ts';

/** Entries of a CRL in one entry of the journal. */
const MOST_IN_LINE = 250;

/**
 * Takes revocations that came after the backup from CRLs that are still in the field: keyd's journal gets an entry for
 * each list, so that keyd lists them for good and certifies none of them. A hold counts as final: nobody is left who
 * could say that it was lifted. REQ-KEY-REV-01, REQ-KEY-BAK-02
 * @param files CRLs, DER, of any key of the online CAs.
 * @returns how many revocations were not known to the backup.
 * @throws KeysteadError `backup.crl-foreign` for one that none of these CAs signed, `crl.malformed`.
 */
export async function takeFieldCrls(
  layout: Layout,
  files: readonly string[],
  journal: Journal,
  state: KeydState,
  now: Date,
): Promise<number> {
  // As a restore has put them there: keyd itself holds them against its pins when it starts.
  const { issuers } = loadHierarchy(layout);
  let taken = 0;
  for (const file of files) {
    const crl = readCrl(readFileSync(file));
    const issuer = issuers.find(({ certificate }) => crl.verify(certificate))?.id;
    if (issuer === undefined) throw new KeysteadError('backup.crl-foreign', { field: file });
    const fresh = [...crl.entries].filter(
      ([serial, { reason }]) =>
        reason !== 'removeFromCRL' &&
        !state.isRevoked(issuer, serial) &&
        !(reason === 'certificateHold' && state.holds.isHeld(issuer, serial)),
    );
    taken += fresh.length;
    const number = Math.max(crl.number, numberOf(state, issuer) + 1);
    const revoked = fresh.map(([serial, { revokedAt, reason }]): [Serial, number, string] => [
      serial,
      revokedAt.getTime(),
      reason === undefined || reason === 'aACompromise' ? 'unspecified' : reason,
    ]);
    const time = state.time.at(now).toISOString();
    // A list of any length: no line of the journal is a long one.
    for (let from = 0; from < revoked.length; from += MOST_IN_LINE) {
      const line = revoked.slice(from, from + MOST_IN_LINE);
      const entry = { time, kind: 'revocations' as const, issuer, since: number, revoked: line, by: 'field-crl' };
      await journal.append(entry);
      state.replay({ n: journal.entries, ...entry });
    }
    const entry = { time, kind: 'crl' as const, issuer, number, revoked: [] };
    await journal.append(entry);
    state.replay({ n: journal.entries, ...entry });
  }
  return taken;
}

const numberOf = (state: KeydState, issuer: IssuerId): number => state.crlNumbers[issuer] ?? 0;
