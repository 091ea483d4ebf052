import { setImmediate as turn } from 'node:timers/promises';
import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { filterBackdateSeconds, type TrustPolicy, trustPolicy } from '@keystead/core/lifecycle';
import { CarriedFilter, decodeFilter, type FilterFile, filterSha256 } from '@keystead/core/trust';
import {
  commissionedBy,
  type FilteredIssuer,
  type FilterKnowledge,
  filteredIssuers,
  filterRevocations,
  issuedBy,
  listedOf,
} from './filtered.ts';

/** As many are looked up before others have a turn: a millisecond or two. */
const AT_ONCE = 500;
/** How far the clock of the front end may be ahead, seconds. */
const AHEAD = 2;
/** By how much less a filter may cover than it could: what was being issued when the records were read. */
const LEAST_SLACK_SECONDS = 60;
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

/**
 * Compares a filter, as the front end built it, with keyd's own lists: it covers the CAs of the policy and no other, each
 * until when keyd knows its certificates; its times are right; and of every certificate that it covers, that keyd or a
 * factory issued and that has not ended, it says what keyd's list says. One by one and a few at a time, so that a million
 * take seconds, no memory, and nobody's turn. REQ-KEY-REV-04
 * @param files the filter that stands alone, then its deltas.
 * @throws KeysteadError `trust-bundle.filter-refused` with what is wrong, `filter.malformed`, `filter.base-differs`.
 */
export async function checkFilter(
  keyd: FilterKnowledge,
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
  const backdated = filterBackdateSeconds(keyd.policy, rule);
  requireTimes(file, { rule, before, now: Math.floor(now.getTime() / 1000), backdated });
  requireNoneUnderWay(keyd, file, backdated);
  const issuers = filteredIssuers(keyd, rule);
  requireIssuers(files, issuers);
  // Before the first look-up: what is listed while they last makes the next one urgent.
  const revocations = filterRevocations(keyd);
  for (const issuer of issuers) requireKnown(file, issuer);
  for (const issuer of issuers) await compare(keyd, carried, issuer, file.date);
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
  if (slack < LEAST_SLACK_SECONDS || slack > MOST_SLACK_SECONDS)
    throw refused(
      'filter.through',
      `${date - through} s before its date, where certificates are dated back ${backdated} s`,
    );
  if (expires - date !== rule.seconds) throw refused('filter.expires', `${expires - date} s after its date`);
}

/**
 * A certificate that is being made has its time already, and may wait for a slow disk or token until after the look-ups. Of
 * one that begins before the filter's end of knowledge nothing would have been looked at.
 */
function requireNoneUnderWay(
  { underWay: { oldest } }: FilterKnowledge,
  { through }: FilterFile,
  backdated: number,
): void {
  if (oldest === undefined || through < Math.floor(oldest / 1000) - backdated) return;
  throw refused(
    'filter.through',
    `${iso(through)}, where a request is under way since ${new Date(oldest).toISOString()}`,
  );
}

/** A filter that is older than two intervals is one that somebody holds back. @throws KeysteadError. */
export function requireFresh(date: number, { everySeconds }: FilterRule, now: number): void {
  if (now - date <= 2 * everySeconds) return;
  throw refused('filter.date', `${iso(date)}, where one is built every ${everySeconds} s`);
}

/** What is covered by one file is covered by all that go with it: a certificate of a CA that is left out would be good. */
function requireIssuers(files: readonly Uint8Array[], issuers: readonly FilteredIssuer[]): void {
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

/**
 * A factory's certificates are covered until when all of them are known here and not a second longer: of what it has not
 * told yet nobody can say that it is good. Nor for less, or a revocation could be hidden behind it.
 */
function requireKnown({ date, through, blocks }: FilterFile, { id, spki, known }: FilteredIssuer): void {
  const told = blocks.find(({ issuerSpkiSha256 }) => issuerSpkiSha256 === spki)?.through ?? through;
  const right = Math.min(through, known?.until ?? through);
  if (told === right) return;
  // Consignments came while the filter was built: then it says what was known by then, or by one of them, and nothing else.
  const since = known?.since((date - AHEAD) * 1000) ?? [];
  if (told < right && since.some((until) => Math.min(through, until) === told)) return;
  throw refused('filter.through', `${id} until ${iso(told)}, where its certificates are known until ${iso(right)}`);
}

async function compare(
  keyd: FilterKnowledge,
  carried: CarriedFilter,
  { id, spki, revoked }: FilteredIssuer,
  date: number,
): Promise<void> {
  if (revoked) {
    if (carried.saysOfAll(spki) === true) return;
    throw refused('filter', `${id} is believed no more, and some of what it may have signed is good`);
  }
  const listed = (serial: Serial): void => {
    if (carried.says(spki, serial) !== true) throw refused('filter', `${id} ${serial} is revoked, and not in it`);
  };
  // What is listed after this has gone by makes the next filter urgent.
  const good = (serial: Serial): void => {
    if (carried.says(spki, serial) === true && !keyd.state.isListed(id, serial))
      throw refused('filter', `${id} ${serial} is not revoked, and in it`);
  };
  const span = { begunBy: carried.through(spki), endingAfter: date };
  await inTurns(serialsOf(listedOf(keyd, id, date)), listed);
  await inTurns(serialsOf(issuedBy(keyd, id, span)), good);
  await inTurns(commissionedBy(keyd, id, span), good);
}

function* serialsOf(placed: Iterable<readonly [unknown, Serial]>): Generator<Serial> {
  for (const [, serial] of placed) yield serial;
}

async function inTurns(serials: Iterable<Serial>, look: (serial: Serial) => void): Promise<void> {
  let looked = 0;
  for (const serial of serials) {
    look(serial);
    looked += 1;
    if (looked % AT_ONCE === 0) await turn();
  }
}

const iso = (seconds: number): string => new Date(Math.min(seconds, 253_402_300_799) * 1000).toISOString();
const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('trust-bundle.filter-refused', { field, seen });
