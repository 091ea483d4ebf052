import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import {
  factoryOfIssuer,
  filterBackdateSeconds,
  type ListedIssuer,
  type Policy,
  type TrustPolicy,
} from '@keystead/core/lifecycle';
import type { KeydClient } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';
import { PackedSerials } from './packed-serials.ts';

/** Certificates of one reading, so that nobody who writes waits long. */
const PAGE = 5000;
/** Serial numbers of one answer of keyd. */
const TOLD = 20_000;
/** So long a certificate may be on its way from keyd's journal into the records, seconds. */
const UNDER_WAY_SECONDS = 120;

/** One issuer's certificates, as a thread can be given them. */
export interface ListedSerials {
  readonly issuerSpkiSha256: SpkiSha256;
  /** All of them, also those that are revoked; some may stand there twice. */
  readonly serials: PackedSerials['pieces'];
  readonly revoked: PackedSerials['pieces'];
  readonly count: number;
  /** Until when they are known, where that is earlier than for the others; milliseconds since 1970. */
  readonly through: number | undefined;
  /** Whether everything is revoked that carries its signature; then none stand there. */
  readonly allRevoked: boolean;
}

/** What a filter is built from. Times are milliseconds since 1970. */
export interface CollectedSource {
  readonly issuers: readonly ListedSerials[];
  readonly date: number;
  readonly backdateSeconds: number;
  readonly expires: number;
}

/** What is asked of keyd for a filter. */
export type FilterKeyd = Pick<KeydClient, 'trustRevocations' | 'trustSerials' | 'trustIssuers'>;

interface From {
  readonly store: Store;
  readonly keyd: FilterKeyd;
  readonly policy: Policy;
  readonly now: Date;
  /** Asks keyd for every certificate of its own too: where records and journal do not agree. */
  readonly whole: boolean;
}

/**
 * Reads what a filter is built from, in pieces: every certificate that was issued and has not ended, from the records
 * (those that factories made from keyd, which knows what they have told), and which of them are revoked or on hold, from
 * keyd, whose list is what counts. The time is that of before the reading: what is issued meanwhile is not covered.
 * REQ-KEY-REV-04
 */
export async function collectSource(from: From, rule: NonNullable<TrustPolicy['filter']>): Promise<CollectedSource> {
  const { keyd, policy, now } = from;
  const date = Math.floor(now.getTime() / 1000) * 1000;
  const listed: ListedSerials[] = [];
  for (const one of (await keyd.trustIssuers()).issuers) {
    const { issuer, spkiSha256, through, commissioned, revoked: allRevoked } = one;
    const told = { issuerSpkiSha256: spkiSha256, through: through?.getTime(), allRevoked };
    if (allRevoked) {
      listed.push({ ...told, serials: [], revoked: [], count: 0 });
      continue;
    }
    const serials = new PackedSerials();
    let count = 0;
    const take = (serial: Serial): void => {
      serials.add(serial);
      count += 1;
    };
    const recorded = factoryOfIssuer(issuer) === undefined;
    if (recorded) await recordsOf(from, issuer, date, take);
    if (!recorded || from.whole) await toldBy((page) => keyd.trustSerials(page), issuer, take);
    commissioned.forEach(take);
    const revoked = new PackedSerials();
    const unseen = new Set<Serial>();
    await toldBy(
      (page) => keyd.trustRevocations(page),
      issuer,
      (serial) => {
        revoked.add(serial);
        unseen.add(serial);
      },
    );
    let looked = 0;
    for (const serial of serials) {
      unseen.delete(serial);
      looked += 1;
      if (looked % PAGE === 0) await turn();
    }
    unseen.forEach(take);
    listed.push({ ...told, serials: serials.pieces, revoked: revoked.pieces, count });
  }
  const backdateSeconds = filterBackdateSeconds(policy, rule) + UNDER_WAY_SECONDS;
  return { issuers: listed, date, backdateSeconds, expires: date + rule.seconds * 1000 };
}

async function recordsOf({ store }: From, issuer: ListedIssuer, date: number, take: (serial: Serial) => void) {
  // By their end: what ended in fifteen years is never read.
  for (let after = { notAfter: date, serial: 'ff' }; ; await turn()) {
    const at = after;
    const rows = store.read(({ trustBundles }) => trustBundles.living(issuer, at, PAGE));
    for (const { serial } of rows) take(serial);
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) break;
    after = last;
  }
  for (let after: string | undefined = '00'; after !== undefined; await turn()) {
    const at: string = after;
    const rows = store.read(({ trustBundles }) => trustBundles.journalSerials(issuer, at, PAGE));
    for (const { serial, notAfter } of rows) if (notAfter > date) take(serial);
    after = rows.length === PAGE ? rows.at(-1)?.serial : undefined;
  }
}

type Asked = FilterKeyd['trustRevocations'];

async function toldBy(ask: Asked, issuer: ListedIssuer, take: (serial: Serial) => void): Promise<void> {
  for (let from = 0, end = false; !end; ) {
    const page = await ask({ issuer, from, limit: TOLD });
    page.serials.forEach(take);
    ({ next: from, end } = page);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
