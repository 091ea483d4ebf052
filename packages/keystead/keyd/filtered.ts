import { type DerCertificate, fromBase64, type Serial, type SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import {
  FACTORY_SLOTS,
  factoryOfIssuer,
  type IssuerId,
  type ListedIssuer,
  profileOf,
  type TrustPolicy,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';
import { isRevoked } from './factory-requester.ts';

type FilterRule = NonNullable<TrustPolicy['filter']>;

/** What of keyd a filter is held against. */
export type FilterKnowledge = Pick<KeydContext, 'policy' | 'state'> & {
  readonly underWay: Pick<KeydContext['underWay'], 'oldest'>;
  readonly hierarchy: Pick<KeydContext['hierarchy'], 'issuers'> & {
    readonly pins: Pick<KeydContext['hierarchy']['pins'], 'revoked'>;
  };
  readonly ledger: Pick<KeydContext['ledger'], 'isCompromised'>;
  readonly policies: Pick<KeydContext['policies'], 'founding' | 'steps'>;
};

/** A key whose certificates a filter covers. */
export interface FilteredIssuer {
  readonly id: ListedIssuer;
  readonly spki: SpkiSha256;
  /**
   * Of the CA of a factory: certificates are known whose notBefore is not later than `until` (seconds since 1970), and what
   * that was at a time (milliseconds) and since. Of keyd's own CAs all are known.
   */
  readonly known?: { readonly until: number; since(at: number): readonly number[] };
  /**
   * Nothing that it issued is believed: its certificate is revoked, or its key reported compromised, or that of what
   * certified it. Whoever has the key can make a certificate that was never issued, so all of them are revoked.
   */
  readonly revoked: boolean;
}

/** What is asked of certificates, seconds since 1970: notBefore at this time or before, and notAfter after that one. */
export interface Span {
  readonly begunBy: number;
  readonly endingAfter: number;
}

/** A serial number with where it stands, for who goes on behind it. */
export type Placed = readonly [place: number, serial: Serial];

/** Where holds stand, behind what is revoked for good. */
const HOLDS_FROM = 2 ** 40;
const IDEVID = 'idevid';

/**
 * Whose certificates a filter covers: every key of each CA of the policy, and with the CA of IDevIDs the sub-CAs of the
 * factories, which make those too. REQ-KEY-REV-04
 */
export function filteredIssuers(keyd: FilterKnowledge, { issuers }: FilterRule): FilteredIssuer[] {
  const own = keyd.hierarchy.issuers
    .filter(({ ca }) => issuers.includes(ca))
    .map(({ id, certificate }) => ({
      ...{ id, spki: spkiSha256(readCertificate(certificate).spki), revoked: !vouches(keyd, id) },
    }));
  if (!issuers.includes('manufacturing')) return own;
  const backdated = idevidBackdateSeconds(keyd);
  const factories = keyd.state.factories.all().map((factory) => {
    const { name, issuer, manufacturing, inForce } = factory;
    const covered = keyd.state.factories.consigned.histories.covered(name);
    // Certificates begin in whole seconds: one is known when all of it is.
    const secondOf = (until = 0) => Math.max(0, Math.floor((until + 1) / 1000) - 1 - backdated);
    const known = { until: secondOf(covered.until), since: (at: number) => covered.since(at).map(secondOf) };
    const revoked = isRevoked(factory, keyd.state) || !vouches(keyd, inForce.certified.manufacturing.issuer);
    return { id: issuer, spki: spkiSha256(manufacturing.spki), known, revoked };
  });
  return [...own, ...factories];
}

const vouches = ({ hierarchy, ledger }: FilterKnowledge, issuer: IssuerId): boolean =>
  !hierarchy.pins.revoked.includes(issuer) && !ledger.isCompromised(issuer);

/**
 * Differs when anything has happened that makes a filter of before say too much or too little: what
 * `KeydState.revocationCount` counts, and CAs of which all is revoked. None of those comes back.
 */
export function filterRevocations(keyd: FilterKnowledge): number {
  const own = keyd.hierarchy.issuers.filter(({ id }) => !vouches(keyd, id)).length;
  const factories = keyd.state.factories.all().filter(({ closed }) => closed?.revoked === true).length;
  return keyd.state.revocationCount + own + factories;
}

/** By how much IDevIDs are dated back at the most: a node works by an older policy until it hears of the next. */
function idevidBackdateSeconds({ policies: { founding, steps } }: FilterKnowledge): number {
  const all = [founding.policy, ...steps.map(({ file }) => file.policy)];
  return Math.max(...all.map((policy) => profileOf(policy, IDEVID).validity.backdateSeconds));
}

/**
 * The certificates of an issuer that keyd knows to have been made, one by one: those that are made while it goes on are
 * not among them, since they begin later. Of a factory by when its node says that it made them.
 * @param from 0, or where the last one stood and one more.
 */
export function* issuedBy(keyd: FilterKnowledge, issuer: ListedIssuer, span: Span, from = 0): Generator<Placed> {
  const factory = factoryOfIssuer(issuer);
  if (factory === undefined) {
    yield* keyd.state.issued.living(issuer, span, from);
    return;
  }
  const madeBy = (span.begunBy + idevidBackdateSeconds(keyd) + 1) * 1000;
  let place = 0;
  for (const [serial, madeAt] of keyd.state.factories.consigned.units.certificatesOf(factory)) {
    if (place >= from && madeAt < madeBy) yield [place, serial];
    place += 1;
  }
}

/**
 * Certificates of keyd's own CAs that stand in no record of the front end: those of the CAs and evidence keys of
 * factories. They stand in commissions.
 */
export function* commissionedBy(keyd: FilterKnowledge, issuer: ListedIssuer, span: Span): Generator<Serial> {
  for (const { acts } of keyd.state.factories.all()) {
    for (const { act, certified } of acts) {
      // At a close it has those that it had.
      if (act === 'close') continue;
      for (const slot of FACTORY_SLOTS) {
        if (certified[slot].issuer !== issuer) continue;
        const info = readCertificate(fromBase64(certified[slot].certificate) as DerCertificate);
        const begun = info.notBefore.getTime() <= span.begunBy * 1000;
        if (begun && info.notAfter.getTime() > span.endingAfter * 1000) yield info.serial;
      }
    }
  }
}

/**
 * What is listed of an issuer's certificates, for good or on hold, and has not ended at `endingAfter`. One that stands in
 * no journal of keyd's, since a restore forgot that it was issued, is taken for one that has not ended. What is listed
 * meanwhile is not among them.
 */
export function* listedOf(
  keyd: FilterKnowledge,
  issuer: ListedIssuer,
  endingAfter: number,
  from = 0,
): Generator<Placed> {
  const { state } = keyd;
  if (from < HOLDS_FROM)
    for (const placed of state.lists(issuer).revoked.listed(from))
      if (!state.issued.hasEnded(issuer, placed[1], endingAfter)) yield placed;
  let place = HOLDS_FROM;
  for (const { serial } of [...state.holds.of(issuer)]) {
    if (place >= from && !state.issued.hasEnded(issuer, serial, endingAfter)) yield [place, serial];
    place += 1;
  }
}

/** Up to `limit` of them, and where to go on. */
export function pageOf(placed: Iterable<Placed>, from: number, limit: number) {
  const serials: Serial[] = [];
  let next = from;
  for (const [place, serial] of placed) {
    if (serials.length === limit) return { serials, next, end: false };
    serials.push(serial);
    next = place + 1;
  }
  return { serials, next, end: true };
}
