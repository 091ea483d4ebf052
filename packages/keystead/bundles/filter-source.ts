import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { filterBackdateSeconds, type IssuerId, type Policy, type TrustPolicy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';

/** Certificates of one reading, so that nobody who writes waits long. */
const PAGE = 5000;
/** So long a certificate may be on its way from keyd's journal into the records, seconds. */
const UNDER_WAY_SECONDS = 120;

/** One issuer's certificates as a thread can be given them. */
export interface ListedSerials {
  readonly issuerSpkiSha256: SpkiSha256;
  readonly serials: readonly Serial[];
  readonly revoked: ReadonlySet<Serial>;
}

/** What a filter is built from. Times are milliseconds since 1970. */
export interface CollectedSource {
  readonly issuers: readonly ListedSerials[];
  readonly date: number;
  readonly backdateSeconds: number;
  readonly expires: number;
}

interface From {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'trustRevocations'>;
  readonly policy: Policy;
  /** Every key of the CAs, as keyd tells them. */
  readonly issuers: Result<'trust'>['issuers'];
  readonly now: Date;
}

/**
 * Reads what a filter is built from, in pieces: every certificate that was issued and has not ended, from the records, and
 * which of them are revoked or on hold, from keyd, whose list is what counts. The time is that of before the reading:
 * what is issued meanwhile is not covered. REQ-KEY-REV-04
 */
export async function collectSource(from: From, rule: NonNullable<TrustPolicy['filter']>): Promise<CollectedSource> {
  const { store, keyd, policy, now } = from;
  const issuers = from.issuers.filter(({ ca }) => rule.issuers.includes(ca));
  const date = Math.floor(now.getTime() / 1000) * 1000;
  const living = new Map<IssuerId, Set<Serial>>(issuers.map(({ id }) => [id, new Set()]));
  const take = (rows: readonly { serial: Serial; issuer: string; notAfter: number }[]): string | undefined => {
    for (const { serial, issuer, notAfter } of rows) if (notAfter > date) living.get(issuer as IssuerId)?.add(serial);
    return rows.length === PAGE ? rows.at(-1)?.serial : undefined;
  };
  for (let after: string | undefined = '00'; after !== undefined; await turn()) {
    const at: string = after;
    after = take(store.read(({ trustBundles }) => trustBundles.serials(at, PAGE)));
  }
  for (const { id } of issuers) {
    for (let after: string | undefined = '00'; after !== undefined; await turn()) {
      const at: string = after;
      after = take(store.read(({ trustBundles }) => trustBundles.journalSerials(id, at, PAGE)));
    }
  }
  const listed: ListedSerials[] = [];
  for (const { id, certificate } of issuers) {
    const revoked = await revokedOf(keyd, id);
    const serials = living.get(id) ?? new Set<Serial>();
    for (const serial of revoked) serials.add(serial);
    const issuerSpkiSha256 = spkiSha256(readCertificate(certificate).spki);
    listed.push({ issuerSpkiSha256, serials: [...serials], revoked });
  }
  const backdateSeconds = filterBackdateSeconds(policy, rule) + UNDER_WAY_SECONDS;
  return { issuers: listed, date, backdateSeconds, expires: date + rule.seconds * 1000 };
}

async function revokedOf(keyd: From['keyd'], issuer: IssuerId): Promise<Set<Serial>> {
  const found = new Set<Serial>();
  for (let from = 0, end = false; !end; ) {
    const page = await keyd.trustRevocations({ issuer, from, limit: 20_000 });
    for (const serial of page.serials) found.add(serial);
    ({ next: from, end } = page);
  }
  return found;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
