import { toBase64 } from '@keystead/core/bytes';
import { type Signer, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerId,
  type ListedIssuer,
  parseTrustStatement,
  requireTrustQuorum,
  type TrustPolicy,
  trustKeystoreId,
  trustOrderSha256,
  trustPolicy,
  verifyTrustStatements,
} from '@keystead/core/lifecycle';
import {
  type BundleContent,
  checkContent,
  filterSha256,
  isIn,
  jsonOfContent,
  requireFirmwareForward,
  type Standing,
  type StandingJson,
  signBundle,
  signBundleJws,
  standingOfJson,
  strandedBy,
  takeBundle,
} from '@keystead/core/trust';
import type { KeydContext } from '../context.ts';
import { type CheckedFilter, checkFilter, requireFresh } from '../filter-check.ts';
import { commissionedBy, filteredIssuers, filterRevocations, issuedBy, listedOf, pageOf } from '../filtered.ts';
import { requireLastingPins } from '../lasting-pins.ts';
import type { Params, Result } from '../protocol.ts';
import { signVerified } from '../sign-verified.ts';
import { contentOf, formsOf, type KeptBundle, sameSigners, stateAfter } from '../trust-bundles.ts';
import type { TrustBundleJournalEntry } from '../trust-entry.ts';
import { endsFor, requireLivingRoots, untilRolledOver } from '../trust-roots.ts';
import { type BundleSigner, requireTrustKey, signersAmong } from '../trust-signer.ts';

type Order = NonNullable<TrustBundleJournalEntry['order']>;
type Asked = Params<'signTrustBundle'>;

/**
 * Signs a trust bundle. What people decide of it changes by an order of the quorum and by nothing else; version, times and
 * signer are keyd's, and the filter is compared with keyd's own lists. An order that takes something from devices at once
 * needs to say so, and a larger quorum. The bundle is verified as a device would, and durable in the journal, before it is
 * given out; the same order, and the same filter, have the same bundle again. REQ-KEY-REV-04, REQ-KEY-ROT-03, REQ-KEY-STO-03
 * @throws KeysteadError `trust-order.*`, `trust-bundle.*`, `filter.*`, `key.*`, `clock.went-back`, `keyd.journal-failed`,
 *   `keyd.signature-faulty`; nothing is given out then.
 */
export function signTrustBundle(keyd: KeydContext, params: Asked): Promise<Result<'signTrustBundle'>> {
  return keyd.state.trust.turnstile.alone(async () => {
    const now = keyd.now();
    const before = sameAgain(keyd, params);
    if (before !== undefined) return tell(before);
    const order = params.statements.length === 0 ? undefined : orderOf(keyd, params.statements, now);
    if (order === undefined) requireDue(keyd, params, now);
    const filter = await filterOf(keyd, params, now);
    const entry = { ...(await signed(keyd, order, filter, keyd.now())), requestId: params.requestId };
    await keyd.journal.append({ kind: 'trust-bundle', ...entry });
    return tell(keyd.state.trust.take(entry));
  });
}

/** What was signed for the same request before: its answer was lost on the way. */
function sameAgain(keyd: KeydContext, { statements: [first], filter }: Asked): KeptBundle | undefined {
  const { trust } = keyd.state;
  if (first !== undefined) return trust.ofOrder(trustOrderSha256(parseTrustStatement(first).content.order));
  const newest = filter.at(-1);
  const { last } = trust;
  return newest !== undefined && last?.entry.filter?.sha256 === filterSha256(newest) ? last : undefined;
}

/** @throws KeysteadError `trust-order.*`, `trust-bundle.rule`, `trust-bundle.firmware-rolled-back`. */
function orderOf(keyd: KeydContext, statements: readonly string[], now: Date): Order {
  const { policy, state } = keyd;
  const agreed = verifyTrustStatements(statements, policy, now);
  requireTrustQuorum(agreed);
  for (const text of statements)
    state.lapses.requireAfterRestore({ notBefore: parseTrustStatement(text).content.signedAt }, 'trust-order');
  const { order } = agreed;
  const { fleet, bundle } = trustPolicy(policy);
  if (order.fleet !== fleet)
    throw new KeysteadError('trust-order.not-in-policy', {
      field: 'fleet',
      seen: `${order.fleet}, where it is ${fleet}`,
    });
  const { changes, last } = state.trust;
  if (order.change !== changes.length + 1 || state.trust.hasOrderId(order.id)) {
    const seen = `change ${order.change} with the id ${order.id}, after ${changes.length} changes`;
    throw new KeysteadError('trust-order.stale', { field: 'change', seen });
  }
  const standing = standingOfJson(order.content);
  const at = seconds(now);
  requireLivingRoots(keyd, standing, at);
  const stood = last?.change.standing;
  if (stood !== undefined) {
    requireFirmwareForward(stood, standing);
    const lost = [
      ...strandedBy(untilRolledOver(keyd, stood), standing, at),
      ...lateSigners(keyd, stood, standing, bundle.awaySeconds, now),
    ];
    const [one] = lost;
    if (one !== undefined && !order.strand) throw new KeysteadError('trust-order.strands', one);
  }
  // Also where it strands: else there would be no bundle after this one, for anybody.
  const expires = at + bundle.seconds;
  if (signersAmong(keyd, standing.signers, expires, now).length === 0)
    throw new KeysteadError('trust-bundle.rule', {
      field: 'signers',
      seen: 'no key of keyd that is good beyond expires',
    });
  requireLastingPins(standing, expires);
  return {
    id: order.id,
    sha256: agreed.orderSha256,
    change: order.change,
    content: order.content,
    strand: order.strand,
    reason: order.reason,
    by: agreed.proposer,
    approvers: [...agreed.approvers],
  };
}

/** Who is away while the signers change must find one of them still believed when they are back. */
function lateSigners(keyd: KeydContext, before: Standing, after: Standing, awaySeconds: number, now: Date) {
  if (sameSigners(before.signers, after.signers)) return [];
  const [signer] = signersAmong(keyd, before.signers, seconds(now), now);
  const until = signer?.until ?? 0;
  if (until >= seconds(now) + awaySeconds) return [];
  const seen = `the signers change, and ${signer?.name ?? 'none'} is believed until ${iso(until)}: devices may be away for longer`;
  return [{ field: 'signers', seen }];
}

/**
 * That somebody was revoked is a reason for a new filter, and for nothing else: with the one before there would be a reason
 * still, and a bundle again and again.
 * @throws KeysteadError `trust-bundle.none`, `trust-bundle.too-soon`, `trust-order.before-restore`, `.before-recount`.
 */
function requireDue(keyd: KeydContext, { filter }: Asked, now: Date): void {
  const { last } = keyd.state.trust;
  if (last === undefined) throw new KeysteadError('trust-bundle.none', { field: 'statements', seen: 'none' });
  // What was ordered after the backup is forgotten: devices may have another content already.
  keyd.state.lapses.requireAfterRestore({ notBefore: last.change.time }, 'trust-order');
  const due = dueOf(keyd, last);
  const at = now.getTime();
  if ((due.urgent && filter.length > 0) || at >= due.refreshAt || (due.filterAt !== null && at >= due.filterAt)) return;
  const next = Math.min(due.refreshAt, due.filterAt ?? due.refreshAt);
  throw new KeysteadError('trust-bundle.too-soon', {
    field: 'statements',
    seen: `next ${new Date(next).toISOString()}`,
  });
}

/** When the same content is signed anew, milliseconds since 1970: by what keyd signed, and not by what a filter says. */
function dueOf(keyd: KeydContext, { entry }: KeptBundle) {
  const { bundle, filter } = trustPolicy(keyd.policy);
  const refreshAt = (entry.issuedAt + ((entry.expires - entry.issuedAt) * bundle.refreshPercent) / 100) * 1000;
  const filterAt = filter === undefined ? null : (entry.issuedAt + filter.everySeconds) * 1000;
  const urgent = filter !== undefined && entry.filter?.revocations !== filterRevocations(keyd);
  return { refreshAt, filterAt, urgent };
}

/** The filter that the bundle names: one that was just compared, or that of before while it is fresh. */
async function filterOf(keyd: KeydContext, params: Asked, now: Date): Promise<CheckedFilter | null> {
  const rule = trustPolicy(keyd.policy).filter;
  const before = keyd.state.trust.last?.entry.filter ?? null;
  if (params.filter.length > 0) return checkFilter(keyd, params.filter, before?.date ?? 0, now);
  if (rule === undefined) return null;
  if (before === null) throw new KeysteadError('trust-bundle.filter-refused', { field: 'filter', seen: 'none' });
  requireFresh(before.date, rule, seconds(now));
  return before;
}

/** Composes and signs both forms, by a key that the bundle before names. */
async function signed(
  keyd: KeydContext,
  order: Order | undefined,
  filter: CheckedFilter | null,
  now: Date,
): Promise<Omit<TrustBundleJournalEntry, 'n' | 'kind' | 'requestId'>> {
  const trust = trustPolicy(keyd.policy);
  const { last } = keyd.state.trust;
  const issuedAt = seconds(now);
  const standing = order === undefined ? last?.change.standing : standingOfJson(order.content);
  if (standing === undefined) throw new KeysteadError('trust-bundle.none', { field: 'statements', seen: 'none' });
  const [by] = signersAmong(keyd, last?.change.standing.signers ?? standing.signers, issuedAt, now);
  if (by === undefined)
    throw new KeysteadError('trust-bundle.no-signer', { field: 'signers', seen: 'none that devices believe now' });
  const expires =
    order === undefined ? lastMoment(keyd, standing, trust, issuedAt, now) : issuedAt + trust.bundle.seconds;
  // Of an order this was looked at before.
  const ends = order === undefined ? endsFor(keyd, standing) : undefined;
  const facts = {
    ...{ fleet: trust.fleet, version: keyd.state.trust.nextVersion, issuedAt, expires, filter },
    ...(ends === undefined ? {} : { ends }),
  };
  const content = contentOf(standing, facts);
  checkContent(content);
  const recorded = recording(keyd, by, now);
  const bundle = await signBundle(content, recorded.signer);
  requireSize(bundle, trust);
  const jws = await signBundleJws(content, recorded.signer);
  const known =
    last === undefined
      ? { fleet: trust.fleet, version: 0, sha256: '', signers: standing.signers, firmware: [] }
      : await stateAfter(last);
  takeBundle(bundle, known, now);
  const [signature, people] = recorded.signatures;
  if (signature === undefined || people === undefined || jws === '')
    throw new KeysteadError('internal.unexpected', { field: 'trust bundle' });
  return {
    time: now.toISOString(),
    ...facts,
    signer: toBase64(by.signer.spki),
    signature: toBase64(signature),
    jws: toBase64(people),
    ...(order === undefined ? {} : { order }),
  };
}

/** Until when the same content may hold: a signer of keyd's is good beyond it. */
function lastMoment(
  keyd: KeydContext,
  standing: Standing,
  { bundle }: TrustPolicy,
  issuedAt: number,
  now: Date,
): number {
  const wanted = issuedAt + bundle.seconds;
  if (standing.signers.some((one) => isIn(one, wanted))) return wanted;
  const [longest] = signersAmong(keyd, standing.signers, issuedAt, now);
  return Math.min(wanted, (longest?.until ?? 0) - 1);
}

/** A signer whose signatures are verified and kept. */
function recording(keyd: KeydContext, { signer, name }: BundleSigner, now: Date) {
  const signatures: Uint8Array[] = [];
  const { keyAlgorithm, signatureAlgorithm, spki } = signer;
  const recorded: Signer = {
    keyAlgorithm,
    signatureAlgorithm,
    spki,
    async sign(data) {
      keyd.ledger.require(name, 'protect', now);
      const made = await signVerified(signer, data);
      signatures.push(made);
      return made;
    },
  };
  return { signer: recorded, signatures };
}

function requireSize(bundle: Uint8Array, { bundle: { maxBytes } }: TrustPolicy): void {
  if (bundle.length <= maxBytes) return;
  throw new KeysteadError('trust-bundle.too-large', {
    field: 'content',
    seen: `${bundle.length} bytes of ${maxBytes}`,
  });
}

async function tell(kept: KeptBundle): Promise<Result<'signTrustBundle'>> {
  const { entry, change, changed, signersChanged } = kept;
  const { bundle, sha256, jws } = await formsOf(kept);
  return {
    ...{ version: entry.version, bundle, sha256, jws, changed, signersChanged },
    issuedAt: new Date(entry.issuedAt * 1000),
    expires: new Date(entry.expires * 1000),
    filterSha256: entry.filter?.sha256 ?? null,
    signer: spkiSha256(Buffer.from(entry.signer, 'base64')),
    change: change.order.change,
  };
}

/**
 * The bundles that were signed: whoever publishes them looks here for what it missed, so one that is being signed is waited
 * for.
 */
export async function trustBundles(
  keyd: KeydContext,
  { after, limit }: Params<'trustBundles'>,
): Promise<Result<'trustBundles'>> {
  await keyd.state.trust.turnstile.alone(async () => {});
  const found = keyd.state.trust.after(after, limit);
  const bundles = [];
  for (const kept of found) bundles.push(await tell(kept));
  return { bundles, end: found.at(-1) === undefined || found.at(-1) === keyd.state.trust.last };
}

/** @throws KeysteadError `trust-order.not-in-policy`. */
export async function trustStatus(keyd: KeydContext): Promise<Result<'trustStatus'>> {
  const now = keyd.now();
  const { fleet, keys } = trustPolicy(keyd.policy);
  const { last, changes } = keyd.state.trust;
  const due = last === undefined ? undefined : dueOf(keyd, last);
  return {
    fleet,
    keys: keys.map((key) => ({
      id: key.id,
      keystoreId: trustKeystoreId(key.id),
      algorithm: key.algorithm,
      ...keyStanding(keyd, key, now),
    })),
    latest: last === undefined ? null : await tell(last),
    content: last === undefined ? null : JSON.stringify(standingJson(contentOf(last.change.standing, last.entry))),
    changes: changes.length,
    orders: changes.map(({ order, version, time }) => ({
      ...{ order: order.id, at: new Date(time), version, by: order.by, approvers: [...order.approvers] },
      ...{ reason: order.reason, strand: order.strand },
    })),
    filterDate: dateOf(last?.entry.filter?.date),
    refreshAt: due === undefined ? null : new Date(due.refreshAt),
    filterAt: due?.filterAt == null ? null : new Date(due.filterAt),
    urgent: due?.urgent ?? false,
  };
}

function standingJson(content: BundleContent): StandingJson {
  const { anchors, pins, signers, firmware } = jsonOfContent(content);
  return { anchors, pins, signers, firmware };
}

function keyStanding(keyd: KeydContext, key: TrustPolicy['keys'][number], now: Date) {
  let spki: Uint8Array | null = null;
  try {
    spki = keyd.signerOf(trustKeystoreId(key.id)).spki;
    requireTrustKey(keyd, key, now);
    return { spki, refused: null };
  } catch (error) {
    if (error instanceof KeysteadError) return { spki, refused: error.message };
    throw error;
  }
}

/** What a filter must say is revoked: keyd compares it with nothing else. @throws KeysteadError `issuer.unknown`. */
export async function trustRevocations(
  keyd: KeydContext,
  { issuer, from, limit }: Params<'trustRevocations'>,
): Promise<Result<'trustRevocations'>> {
  requireListed(keyd, issuer);
  return pageOf(listedOf(keyd, issuer, seconds(keyd.now()), from), from, limit);
}

/** Of which certificates a filter must say whether they are revoked. @throws KeysteadError `issuer.unknown`. */
export async function trustSerials(
  keyd: KeydContext,
  { issuer, from, limit }: Params<'trustSerials'>,
): Promise<Result<'trustSerials'>> {
  requireListed(keyd, issuer);
  const now = seconds(keyd.now());
  return pageOf(issuedBy(keyd, issuer, { begunBy: now, endingAfter: now }, from), from, limit);
}

/** Whose certificates a filter covers. @throws KeysteadError `trust-order.not-in-policy`. */
export async function trustIssuers(keyd: KeydContext): Promise<Result<'trustIssuers'>> {
  const { filter } = trustPolicy(keyd.policy);
  const now = seconds(keyd.now());
  const issuers = filter === undefined ? [] : filteredIssuers(keyd, filter);
  return {
    issuers: issuers.map(({ id, spki, known, revoked }) => ({
      ...{ issuer: id, spkiSha256: spki, revoked, through: known === undefined ? null : new Date(known.until * 1000) },
      commissioned: [...commissionedBy(keyd, id, { begunBy: now, endingAfter: now })],
    })),
  };
}

function requireListed(keyd: KeydContext, issuer: ListedIssuer): void {
  if (keyd.state.factories.ofIssuer(issuer) === undefined) keyd.authority(issuer as IssuerId);
}

const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);
const dateOf = (at: number | undefined): Date | null => (at === undefined ? null : new Date(at * 1000));
const iso = (at: number): string => new Date(at * 1000).toISOString();
