import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  crlListName,
  crlUrls,
  GIVEN_REASONS,
  type GivenReason,
  issuerKeyId,
  listedAlone,
  type Shard,
  shardIndex,
} from '@keystead/core/lifecycle';
import { type CrlHead, type EntryOctets, entryOctets, type RevokedEntry } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { requireListedHere } from '../factory/listed-here.ts';
import type { DeltaBase, IssuerLists } from '../issuer-lists.ts';
import { listSigner, namedEntries } from '../list-signer.ts';
import type { Params, Result } from '../protocol.ts';
import { forgettingOf, requireRevocationTime } from '../revocation.ts';
import type { CrlJournalEntry } from '../revocation-entries.ts';
import type { Revoked } from '../revoked-set.ts';

type Issuer = Params<'signCrl'>['issuer'];
type Fresh = CrlJournalEntry['revoked'];

/** More are an entry of the journal of their own, so that no line of it is long. */
const MOST_IN_LINE = 250;
/** How far a hold's release may be dated before the full CRL on which it stood, milliseconds. */
const CLOCK_STEP_MS = 2000;

/**
 * Signs a CRL: of all that an issuer revoked or of one partition, and with it its delta CRL where the policy has them.
 * keyd remembers what it has listed, in its journal, and lists it again by itself: a front end can add to a list, but
 * never take a revocation back by leaving it out, nor a hold: that takes the signed order of `releaseHold`.
 * REQ-KEY-REV-01
 * @throws KeysteadError `issuer.unknown`, `key.use-forbidden`, `crl.number-used` and `crl.number-skips` with the last number,
 *   `crl.shard-unknown`, `crl.delta-forbidden`, `revocation.malformed`, `revocation.unissued-too-many`,
 *   `clock.went-back`, `keyd.journal-failed`, `keyd.signature-faulty`.
 */
export async function signCrl(keyd: KeydContext, params: Params<'signCrl'>): Promise<Result<'signCrl'>> {
  const { authority } = listSigner(keyd, params.issuer);
  requireListedHere(keyd, authority.id);
  const lists = keyd.state.lists(params.issuer);
  return lists.turnstile.alone(() => sign(keyd, lists, params));
}

/**
 * Puts revocations on the list without a CRL; the next one has them. From then on they are as final as those of a CRL.
 * REQ-KEY-REV-01
 * @throws KeysteadError `issuer.unknown`, `revocation.malformed`, `revocation.unissued-too-many`, `clock.went-back`,
 *   `keyd.journal-failed`; nothing is listed then.
 */
export async function listRevocations(
  keyd: KeydContext,
  { issuer, entries }: Params<'listRevocations'>,
): Promise<Result<'listRevocations'>> {
  listSigner(keyd, issuer);
  const lists = keyd.state.lists(issuer);
  return lists.turnstile.alone(async () => {
    const now = keyd.now();
    const since = lists.number + 1;
    const { fresh, undo, withheld, lines } = take(keyd, issuer, since, entries, now);
    await Promise.all(lines.map((line) => append(keyd, { issuer, since, ...line }, now))).catch((error: unknown) => {
      undo();
      throw error;
    });
    return { fresh: fresh.length, withheld };
  });
}

/** Entries that are listed before others have their turn at the list: the journal takes them in lines. */
const ORDERED_AT_ONCE = 5000;

/**
 * Puts on the list what people ordered, as many as they are, in pieces that are each durable; those that stand there are
 * passed over. @returns how many were there for the first time.
 * @throws KeysteadError as {@link listRevocations} does.
 */
export async function listOrdered(
  keyd: KeydContext,
  issuer: Issuer,
  entries: readonly Revoked[],
  by: string,
): Promise<number> {
  const { authority } = listSigner(keyd, issuer);
  const lists = keyd.state.lists(issuer);
  let listed = 0;
  for (let from = 0; from < entries.length; from += ORDERED_AT_ONCE) {
    listed += await lists.turnstile.alone(async () => {
      const now = keyd.now();
      const since = lists.number + 1;
      const some = entries.slice(from, from + ORDERED_AT_ONCE);
      const { fresh, undo } = keyd.state.list(issuer, since, some, forgettingOf(keyd, authority.role, now));
      try {
        await Promise.all(lined(fresh).map((revoked) => append(keyd, { issuer, since, revoked, by }, now)));
      } catch (error) {
        undo();
        throw error;
      }
      return fresh.length;
    });
  }
  return listed;
}

async function sign(keyd: KeydContext, lists: IssuerLists, params: Params<'signCrl'>): Promise<Result<'signCrl'>> {
  const now = keyd.now();
  const { issuer, number, shard, deltaOnly = false } = params;
  const { authority, certificateIssuer } = listSigner(keyd, issuer);
  const { crlSeconds, lists: policyLists } = keyd.policy.revocation;
  // What a factory issued says nothing of partitions and deltas: it has one full list.
  const cut = certificateIssuer === undefined ? policyLists : undefined;
  keyd.ledger.require(issuerKeyId(authority.id), 'process', now);
  if (shard !== undefined && !lists.shardings(cut?.shards ?? 1, now.getTime()).includes(shard.of))
    throw new KeysteadError('crl.shard-unknown', { field: 'shard', seen: `one of ${shard.of}` });
  if (deltaOnly && cut?.delta === undefined) throw new KeysteadError('crl.delta-forbidden', { field: 'deltaOnly' });
  lists.requireNumber(number);
  const thisUpdate = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const until = (seconds: number): Date => new Date(thisUpdate.getTime() + seconds * 1000);
  const nextUpdate = until(deltaOnly ? (cut?.delta?.seconds ?? 0) : crlSeconds);
  const base = lists.base(shard, thisUpdate.getTime());
  if (deltaOnly && base === undefined)
    throw new KeysteadError('crl.delta-forbidden', { field: 'deltaOnly', seen: 'no full CRL that did not end' });

  const { undo, withheld, lines } = take(keyd, issuer, number, params.entries, now);
  lists.raiseNumber(number);
  const [last = { revoked: [] }, ...before] = lines.reverse();
  const entry = {
    time: now.toISOString(),
    kind: 'crl' as const,
    issuer,
    number,
    shard: shard === undefined ? undefined : ([shard.index, shard.of] as [number, number]),
    delta: deltaOnly ? (true as const) : undefined,
    nextUpdate: nextUpdate.toISOString(),
    ...last,
  };
  await Promise.all([
    ...before.map((line) => append(keyd, { issuer, since: number, ...line }, now)),
    keyd.journal.append(entry),
  ]).catch((error: unknown) => {
    undo();
    throw error;
  });
  if (!deltaOnly) lists.sawFull(shard, { number, thisUpdate: thisUpdate.getTime(), nextUpdate: nextUpdate.getTime() });

  const { signer } = authority;
  const urls = crlUrls(keyd.policy, issuer, shard);
  const named = shard !== undefined || certificateIssuer !== undefined;
  const head = {
    issuer: authority.certificate,
    signatureAlgorithm: signer.signatureAlgorithm,
    thisUpdate,
    number,
    // RFC 5280 section 5.2.5: who reads it knows by this name which certificates it is for.
    point: named ? (urls.crl ?? `urn:keystead:crl:${crlListName({ issuer, shard })}`) : undefined,
    indirect: certificateIssuer !== undefined,
  };
  const make = async (delta: boolean, more: Pick<CrlHead, 'nextUpdate' | 'base' | 'freshest'>) => {
    const entries = listed(
      keyd,
      issuer,
      shard,
      delta ? (base ?? { number, thisUpdate: thisUpdate.getTime() }) : undefined,
    );
    const whole = certificateIssuer === undefined ? entries : namedEntries(entries, certificateIssuer);
    const made = await keyd.crls.make(crlListName({ issuer, shard, delta }), { ...head, ...more }, whole, signer);
    return { ...made, number, thisUpdate, nextUpdate: more.nextUpdate };
  };
  const deltaHead = cut?.delta && { nextUpdate: until(cut.delta.seconds), base: base?.number ?? number };
  if (deltaOnly && deltaHead !== undefined) return { ...(await make(true, deltaHead)), withheld };
  const full = {
    ...(await make(false, { nextUpdate, freshest: cut === undefined ? undefined : urls.freshest })),
    withheld,
  };
  return deltaHead === undefined ? full : { ...full, delta: await make(true, deltaHead) };
}

/**
 * What a front end says is revoked. Beyond what the policy lets be listed on its word, certificates are left out and counted:
 * the list is signed without them, for one that is not signed would hide the others. REQ-KEY-SOD-02
 */
function take(keyd: KeydContext, issuer: Issuer, since: number, entries: readonly Revoked[], now: Date) {
  for (const { serial, revokedAt } of entries) requireRevocationTime(revokedAt, now, serial);
  const { allowed, counted } = allowedAlone(keyd, issuer, entries, now);
  const { revocationOrders } = keyd.state;
  const forgetting = forgettingOf(keyd, listSigner(keyd, issuer).authority.role, now);
  try {
    const { fresh, undo } = keyd.state.list(issuer, since, allowed, forgetting);
    // What stood there already, such as a hold that others released and that is not begun again, took nothing.
    const first = new Set(fresh.flatMap(({ serial }) => (counted.has(serial) ? [serial] : [])));
    revocationOrders.giveBack(counted.size - first.size);
    const undoAll = (): void => {
      undo();
      revocationOrders.giveBack(first.size);
    };
    const lines = countedLines(fresh, first);
    return { fresh, undo: undoAll, withheld: entries.length - allowed.length, lines };
  } catch (error) {
    revocationOrders.giveBack(counted.size);
    throw error;
  }
}

/** Lines of the journal, each with how many of it were counted: after a restart it must be as many as before. */
function countedLines(fresh: readonly Revoked[], counted: ReadonlySet<Serial>): { revoked: Fresh; alone: number }[] {
  const left = new Set(counted);
  return lined(fresh).map((revoked) => ({
    revoked,
    alone: revoked.filter(([serial]) => left.delete(serial as Serial)).length,
  }));
}

/** Which entries go onto the list on the front end's word, and of which certificates that was counted. */
function allowedAlone(
  { state, policy }: KeydContext,
  issuer: Issuer,
  entries: readonly Revoked[],
  now: Date,
): { allowed: readonly Revoked[]; counted: ReadonlySet<Serial> } {
  const counted = new Set<Serial>();
  if (state.revocationOrders.coversAllOf(issuer)) return { allowed: entries, counted };
  const limits = new Map<string, ReturnType<typeof listedAlone>>();
  const allowed = entries.filter(({ serial, reason }) => {
    if (state.isRevoked(issuer, serial)) return true;
    const given = reasonOf(reason);
    // What came off a hold and is sent again as held is none of keyd's business: it knows the hold.
    if (given === 'certificateHold' && state.isListed(issuer, serial)) return true;
    const limit = limits.get(given) ?? listedAlone(policy, given);
    limits.set(given, limit);
    if (limit === 'all') return true;
    if (limit === 'none') return false;
    if (counted.has(serial)) return true;
    const taken = state.revocationOrders.takeAlone(1, limit, now.getTime());
    if (taken === 1) counted.add(serial);
    // Nothing comes back while this list is gone through: the rest is not counted again one by one.
    if (taken === 0) limits.set(given, 'none');
    return taken === 1;
  });
  return { allowed, counted };
}

/** The reasons that nobody of Keystead's gives count as none. */
const reasonOf = (reason: Revoked['reason']): GivenReason | 'certificateHold' =>
  reason === 'certificateHold' ? reason : (GIVEN_REASONS.find((one) => one === reason) ?? 'unspecified');

const append = (
  keyd: KeydContext,
  entry: { issuer: Issuer; since: number; revoked: Fresh; alone?: number; by?: string },
  now: Date,
) => keyd.journal.append({ time: now.toISOString(), kind: 'revocations', ...entry });

/** For lines of the journal. */
function lined(fresh: readonly Revoked[]): Fresh[] {
  const lines: Fresh[] = [];
  for (let from = 0; from < fresh.length; from += MOST_IN_LINE) {
    const line = fresh.slice(from, from + MOST_IN_LINE);
    lines.push(line.map(({ serial, revokedAt, reason }) => [serial, revokedAt.getTime(), reason ?? 'unspecified']));
  }
  return lines;
}

/**
 * What a CRL lists. A delta CRL lists what no CRL up to its base has, every hold, and what came off its hold since
 * (RFC 5280 section 5.2.4 allows entries that the base has as well, and asks for those that a CRL in between had).
 */
function listed(
  keyd: KeydContext,
  issuer: Issuer,
  shard: Shard | undefined,
  base: DeltaBase | undefined,
): Iterable<EntryOctets> {
  const { holds } = keyd.state;
  const { revoked } = keyd.state.lists(issuer);
  const inShard = (serial: Serial): boolean => shard === undefined || shardIndex(serial, shard.of) === shard.index;
  // Taken out now: an order of release may come while the list is written.
  const others: RevokedEntry[] = [...holds.of(issuer)].filter(({ serial }) => inShard(serial));
  if (base !== undefined) {
    for (const [serial, { releasedAt }] of holds.released(issuer)) {
      if (!inShard(serial) || releasedAt < base.thisUpdate - CLOCK_STEP_MS || keyd.state.isListed(issuer, serial))
        continue;
      others.push({ serial, revokedAt: new Date(releasedAt), reason: 'removeFromCRL' });
    }
  }
  const few = [...entryOctets(others)];
  const many = revoked.entries({ after: base?.number, shard });
  return {
    *[Symbol.iterator]() {
      yield* many;
      yield* few;
    },
  };
}
