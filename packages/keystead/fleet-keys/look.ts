import type { SpkiSha256 } from '@keystead/core/bytes';
import { checkModuli } from '@keystead/core/x509';
import { readOnly } from '../store/index.ts';
import type { KeyGroup } from './known-groups.ts';
import { KnownGroups } from './known-groups.ts';
import { numberOf, rsaKeysFrom } from './rsa-keys.ts';

/** What a look is given: plain values, so that a thread can be. */
export interface LookOrder {
  /** The database's file; it is read, never written. */
  readonly database: string;
  /** Where what was looked at before is kept. */
  readonly directory: string;
  /** Keys that are looked at together: 16,384 of 2,048 bits take some 300 MB. */
  readonly group: number;
}

/**
 * Two keys with a common factor. The factor itself is told to nobody: it is both private keys.
 */
export interface WeakPair {
  /** The one that was certified later. */
  readonly spkiSha256: SpkiSha256;
  readonly other: SpkiSha256;
}

/** How far a look has come. */
export interface LookProgress {
  /** RSA keys that are compared with each other. */
  readonly keys: number;
  /** Entries of the log that are read. */
  readonly cursor: number;
}

export const GROUP = 16_384;

/**
 * Compares the RSA keys of the whole history with each other, from where the last look ended: a group at a time, each
 * against itself and all before it. What was found is told before it counts as looked at, so that a look which ends in
 * the middle is gone on with and loses nothing. REQ-KEY-PROV-03
 * @param told is given the pairs of a group; when it resolves they are taken care of.
 * @throws KeysteadError `store.*`, `config.missing`; what `told` throws.
 */
export async function lookForSharedFactors(
  { database, directory, group }: LookOrder,
  told: (pairs: readonly WeakPair[], progress: LookProgress) => Promise<void>,
): Promise<LookProgress> {
  const known = new KnownGroups(directory, group);
  known.repair();
  const seen = new Set(known.groups().flatMap((one) => one.spkis().map(short)));
  for (;;) {
    const { keys, next } = readOnly(database, (records) =>
      rsaKeysFrom(records, known.cursor, { most: known.room, known: (spki) => seen.has(short(spki)) }),
    );
    if (next === known.cursor) return { keys: known.keys, cursor: known.cursor };
    const groups = known.groups();
    const { product, pairs } = checkModuli(
      keys.map(({ modulus }) => numberOf(modulus)),
      groups,
    );
    const named = pairs.flatMap(({ index, other }) => {
      const later = keys[index]?.spkiSha256;
      const earlier =
        other.group === undefined ? keys[other.index]?.spkiSha256 : spkiIn(groups[other.group], other.index);
      return later === undefined || earlier === undefined ? [] : [{ spkiSha256: later, other: earlier }];
    });
    await told(named, { keys: known.keys + keys.length, cursor: next });
    known.add(keys, product, next);
    for (const { spkiSha256 } of keys) seen.add(short(spkiSha256));
  }
}

const spkiIn = (group: KeyGroup | undefined, index: number): SpkiSha256 | undefined => group?.spkis()[index];

/** 128 bits of a hash, as few bytes as a string can have: a million are 40 MB. */
const short = (spki: SpkiSha256): string => Buffer.from(spki.slice(0, 32), 'hex').toString('latin1');
