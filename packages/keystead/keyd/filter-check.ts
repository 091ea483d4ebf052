import { setImmediate as turn } from 'node:timers/promises';
import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { randomBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { filterBackdateSeconds, type IssuerId, type TrustPolicy, trustPolicy } from '@keystead/core/lifecycle';
import { CarriedFilter, decodeFilter, filterSha256 } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';

/** As many are looked up before others have a turn. */
const AT_ONCE = 1000;
/** Of more certificates than this that are not revoked, so many are looked up, from a random one on. */
const MOST_GOOD_LOOKED_UP = 100_000;
/** How far the clock of the front end may be ahead, seconds. */
const AHEAD = 2;
/** By how much less a filter may cover than it could: what was being issued when the records were read. */
const MOST_SLACK_SECONDS = 3600;

/** A filter that keyd has compared with what it knows. */
export interface CheckedFilter {
  readonly sha256: string;
  /** Seconds since 1970. */
  readonly date: number;
  readonly expires: number;
  /** How many revocations, holds and releases keyd had seen then. */
  readonly revocations: number;
}

type FilterRule = NonNullable<TrustPolicy['filter']>;

/** The issuers that a filter covers: every key of each CA of the policy. */
export const filteredIssuers = (keyd: KeydContext, { issuers }: FilterRule): { id: IssuerId; spki: SpkiSha256 }[] =>
  keyd.hierarchy.issuers
    .filter(({ ca }) => issuers.includes(ca))
    .map(({ id, certificate }) => ({ id, spki: spkiSha256(readCertificate(certificate).spki) }));

/**
 * Compares a filter, as the front end built it, with keyd's own lists: it covers the CAs of the policy and no other, its
 * times are right, each certificate that keyd issued, lists as revoked or on hold and that has not ended is revoked by it,
 * and none of those that keyd looks up besides is. REQ-KEY-REV-04
 * @param files the filter that stands alone, then its deltas.
 * @throws KeysteadError `trust-bundle.filter-refused` with what is wrong, `filter.malformed`, `filter.base-differs`.
 */
export async function checkFilter(
  keyd: KeydContext,
  files: readonly Uint8Array[],
  before: number,
  now: Date,
): Promise<CheckedFilter> {
  const rule = trustPolicy(keyd.policy).filter;
  const [base, ...deltas] = files;
  const newest = files.at(-1);
  if (rule === undefined || base === undefined || newest === undefined)
    throw refused('filter', rule === undefined ? 'a filter, which the policy has not' : 'none');
  if (deltas.length > rule.mostDeltas) throw refused('filter', `${deltas.length} deltas of ${rule.mostDeltas}`);
  const carried = CarriedFilter.open(base, deltas);
  const file = decodeFilter(newest);
  requireTimes(file, {
    rule,
    before,
    now: Math.floor(now.getTime() / 1000),
    backdated: filterBackdateSeconds(keyd.policy, rule),
  });
  const issuers = filteredIssuers(keyd, rule);
  requireIssuers(files, issuers);
  // Before the first look-up: what is listed while they last makes the next one urgent.
  const { revocationCount: revocations } = keyd.state;
  for (const { id, spki } of issuers) await compare(keyd, carried, { id, spki }, file.date);
  return { sha256: filterSha256(newest), date: file.date, expires: file.expires, revocations };
}

interface Times {
  readonly rule: FilterRule;
  /** The date of the filter before, 0 for none. */
  readonly before: number;
  readonly now: number;
  readonly backdated: number;
}

function requireTimes(
  { date, through, expires }: { date: number; through: number; expires: number },
  { rule, before, now, backdated }: Times,
): void {
  if (date > now + AHEAD) throw refused('filter.date', `${iso(date)}, which is to come`);
  if (date < before) throw refused('filter.date', `${iso(date)}, before that of the last one, ${iso(before)}`);
  requireFresh(date, rule, now);
  const slack = date - through - backdated;
  if (slack < 0 || slack > MOST_SLACK_SECONDS)
    throw refused(
      'filter.through',
      `${date - through} s before its date, where certificates are dated back ${backdated} s`,
    );
  if (expires - date !== rule.seconds) throw refused('filter.expires', `${expires - date} s after its date`);
}

/** A filter that is older than two intervals is one that somebody holds back. @throws KeysteadError. */
export function requireFresh(date: number, { everySeconds }: FilterRule, now: number): void {
  if (now - date <= 2 * everySeconds) return;
  throw refused('filter.date', `${iso(date)}, where one is built every ${everySeconds} s`);
}

/** What is covered by one file is covered by all that go with it: a certificate of a CA that is left out would be good. */
function requireIssuers(files: readonly Uint8Array[], issuers: readonly { id: string; spki: SpkiSha256 }[]): void {
  const wanted = issuers.map(({ spki }) => spki).sort();
  files.forEach((bytes, index) => {
    const told = decodeFilter(bytes).blocks.map((block) => block.issuerSpkiSha256);
    const strange = told.find((one) => !wanted.includes(one));
    if (strange !== undefined) throw refused(`filter[${index}].issuer`, `${strange}, which is no CA of the policy`);
    // A CA may have come since the base was built; the newest file has each.
    if (index < files.length - 1) return;
    const missing = issuers.find(({ spki }) => !told.includes(spki));
    if (missing !== undefined) throw refused(`filter[${index}].issuer`, `nothing of ${missing.id}`);
  });
}

async function compare(
  keyd: KeydContext,
  carried: CarriedFilter,
  { id, spki }: { id: IssuerId; spki: SpkiSha256 },
  date: number,
): Promise<void> {
  const listed = keyd.state.listedAndLiving(id, date);
  await inTurns(listed, (serial) => {
    if (carried.says(spki, serial) !== true) throw refused('filter', `${id} ${serial} is revoked, and not in it`);
  });
  const living = keyd.state.living(id, date);
  const from = living.length <= MOST_GOOD_LOOKED_UP ? 0 : Buffer.from(randomBytes(4)).readUInt32BE() % living.length;
  const some = from === 0 ? living.slice(0, MOST_GOOD_LOOKED_UP) : around(living, from);
  await inTurns(some, (serial) => {
    if (carried.says(spki, serial) === true && !keyd.state.isListed(id, serial))
      throw refused('filter', `${id} ${serial} is not revoked, and in it`);
  });
}

const around = (all: readonly Serial[], from: number): Serial[] =>
  [...all.slice(from), ...all.slice(0, from)].slice(0, MOST_GOOD_LOOKED_UP);

async function inTurns(serials: readonly Serial[], look: (serial: Serial) => void): Promise<void> {
  for (let at = 0; at < serials.length; at += AT_ONCE) {
    if (at > 0) await turn();
    for (const serial of serials.slice(at, at + AT_ONCE)) look(serial);
  }
}

const iso = (seconds: number): string => new Date(Math.min(seconds, 253_402_300_799) * 1000).toISOString();
const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('trust-bundle.filter-refused', { field, seen });
