import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  isListedIssuer,
  kindOfOrder,
  type ListedIssuer,
  parseRevocationStatement,
  type RevocationStatementOrder,
  requireAgreed,
  requireRevocationKind,
  revocationListSha256,
  revocationOrderSha256,
  verifyRevocationStatements,
} from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import type { RevocationOrderJournalEntry } from '../revocation-entries.ts';
import { listOrdered } from './sign-crl.ts';

type Order = Omit<RevocationOrderJournalEntry, 'n'>;
type Lists = Map<ListedIssuer, Set<Serial>>;

/** Entries of the journal that are looked through before others have their turn. */
const ENTRIES_AT_ONCE = 2000;

/**
 * Takes out of service what several people ordered: a batch, a CA's certificates, or whatever the policy asks others to
 * agree to. keyd verifies each signature, that they are as many as the policy asks for, and that the list is the one that
 * they saw; the certificates of a batch it finds in its own journal. They stand on its lists when this resolves, and the
 * next CRL has them. After a crash the same order goes on where it was, however late. REQ-KEY-REV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.*`, `revocation.*`, `approval.hardware-required`, `issuer.unknown`,
 *   `clock.went-back`, `keyd.journal-failed`; of the last a part may stand on the lists then.
 */
export function orderRevocation(
  keyd: KeydContext,
  params: Params<'orderRevocation'>,
): Promise<Result<'orderRevocation'>> {
  const { revocationOrders } = keyd.state;
  return revocationOrders.turnstile.alone(async () => {
    const asked = parseRevocationStatement(params.statements[0] ?? '').content.order;
    const before = revocationOrders.of(revocationOrderSha256(asked));
    requireList(asked, params.list);
    const order = before ?? (await begin(keyd, params));
    const taken = await takenBy(keyd, order, params.list);
    if (before !== undefined) leaveReleased(keyd, before, taken);
    const listed = await listAll(keyd, order, taken);
    const { order: id, time, by, approvers } = order;
    return { order: id, at: new Date(time), by, approvers, listed };
  });
}

async function begin(keyd: KeydContext, { statements, list, requestId }: Params<'orderRevocation'>): Promise<Order> {
  const now = keyd.now();
  const agreed = verifyRevocationStatements(statements, keyd.policy, now);
  requireAgreed(agreed);
  const { order, orderSha256, proposer, approvers } = agreed;
  const { act, selector, reason, count, listSha256 } = order;
  if (act === 'release') throw new KeysteadError('revocation.act-forbidden', { field: 'order.act', seen: act });
  requireRevocationKind(kindOfOrder(order), 'operator');
  requireNamed(keyd, order, list);
  const entry = {
    time: now.toISOString(),
    kind: 'revocation-order' as const,
    ...{ order: order.id, orderSha256, act, selector, count, listSha256 },
    ...(reason === undefined ? {} : { reason }),
    by: proposer,
    approvers: [...approvers],
    requestId,
  };
  await keyd.journal.append(entry);
  keyd.state.revocationOrders.take(entry);
  return entry;
}

/** @throws KeysteadError `revocation-request.list-differs`. */
function requireList(
  { count, listSha256 }: Pick<RevocationStatementOrder, 'count' | 'listSha256'>,
  list: Params<'orderRevocation'>['list'],
): void {
  const flat = list.flatMap(({ issuer, serials }) => serials.map((serial) => ({ issuer, serial })));
  if (flat.length === count && revocationListSha256(flat) === listSha256) return;
  throw new KeysteadError('revocation-request.list-differs', {
    field: 'list',
    seen: `${flat.length}, where the order is for ${count}`,
  });
}

/**
 * That the list is of what the order names, as far as keyd knows that by itself: people signed a hash that the front end
 * showed them. @throws KeysteadError `revocation-request.list-differs`, `revocation.batch-foreign`.
 */
function requireNamed(
  keyd: KeydContext,
  { selector, count }: RevocationStatementOrder,
  list: Params<'orderRevocation'>['list'],
): void {
  const differs = (seen: string): KeysteadError =>
    new KeysteadError('revocation-request.list-differs', { field: 'list', seen });
  const [first] = list;
  if (selector.kind === 'certificate') {
    if (count === 1 && first?.issuer === selector.issuer && first.serials[0] === selector.serial) return;
    throw differs(`another certificate than ${selector.issuer} ${selector.serial}`);
  }
  if (selector.kind === 'ca') {
    const own = keyd.hierarchy.issuers.find(({ id }) => id === selector.ca);
    if (own === undefined || first?.serials[0] === readCertificate(own.certificate).serial) return;
    throw differs(`another certificate than that of ${selector.ca}`);
  }
  if (selector.kind !== 'batch') return;
  const units = keyd.state.units.ofTicket(selector.ticketId);
  for (const { serials } of list) {
    for (const serial of serials) {
      if (units.has(serial)) continue;
      const made = keyd.state.factories.anyUnit(serial);
      if (made === undefined ? !isOwn(keyd, serial) : made.unit.ticket.id === selector.ticketId) continue;
      throw new KeysteadError('revocation.batch-foreign', { field: 'list', seen: serial });
    }
  }
}

/** Whether a key of keyd's own issued it: what a factory made is not in this journal. */
const isOwn = ({ hierarchy, state }: KeydContext, serial: Serial): boolean =>
  hierarchy.issuers.some(({ id }) => state.isIssued(id, serial));

/** What an order takes. Of a CA nothing is listed here: whatever it issued may be listed from then on. */
async function takenBy(keyd: KeydContext, order: Order, list: Params<'orderRevocation'>['list']): Promise<Lists> {
  const { selector } = order;
  const taken: Lists = new Map();
  const add = (issuer: ListedIssuer, serial: Serial): void => {
    const serials = taken.get(issuer) ?? new Set();
    taken.set(issuer, serials.add(serial));
  };
  if (selector.kind === 'ca') return taken;
  if (selector.kind !== 'batch') {
    for (const { issuer, serials } of list) {
      if (!isListedIssuer(issuer)) throw new KeysteadError('issuer.unknown', { field: 'list', seen: issuer });
      for (const serial of serials) add(issuer, serial);
    }
    return taken;
  }
  const units = keyd.state.units.ofTicket(selector.ticketId);
  const devices = new Set<string>();
  for (const { serials } of list) {
    for (const serial of serials) {
      const own = units.get(serial);
      const made = own === undefined ? keyd.state.factories.anyUnit(serial) : undefined;
      const issuer = own?.issuer ?? made?.issuer;
      const deviceId = own?.deviceId ?? made?.unit.deviceId;
      // After a restore nobody may know one of them: it is listed on the front end's word.
      if (issuer === undefined || deviceId === undefined) continue;
      add(issuer, serial);
      devices.add(deviceId);
    }
  }
  await eachCertificate(keyd, order.time, (entry) => {
    // What a person or a server is called may be the name of a device.
    if (devices.has(entry.subject) && DEVICE_CAS.test(entry.issuer)) add(entry.issuer, entry.serial as Serial);
  });
  return taken;
}

/** The CAs whose certificates are of devices, whichever of their keys. */
const DEVICE_CAS = /^(?:manufacturing|operational)(?:\.|$)/;

/** The certificates that keyd made up to a time and that have not ended. */
async function eachCertificate(
  keyd: KeydContext,
  until: string,
  see: (entry: Extract<ReturnType<KeydContext['journal']['read']>['entries'][number], { kind: 'certificate' }>) => void,
): Promise<void> {
  for (let from = 0; ; ) {
    const page = keyd.journal.read(from, ENTRIES_AT_ONCE);
    for (const entry of page.entries) {
      if (entry.kind === 'certificate' && entry.time <= until && entry.notAfter > until) see(entry);
    }
    if (page.end || page.entries.length === 0) return;
    from = page.next;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * An order of a hold that comes again goes on after a crash; what others have released since it was begun stays released:
 * else a front end would hold it again for ever, by the word of people who meant it once.
 */
function leaveReleased({ state }: KeydContext, { act, time }: Order, taken: Lists): void {
  if (act !== 'hold') return;
  const begun = Date.parse(time);
  for (const [issuer, serials] of taken) {
    const released = state.holds.released(issuer);
    for (const serial of serials) if ((released.get(serial)?.releasedAt ?? 0) >= begun) serials.delete(serial);
  }
}

async function listAll(keyd: KeydContext, order: Order, taken: Lists): Promise<number> {
  const reason: RevocationReason = order.act === 'hold' ? 'certificateHold' : (order.reason ?? 'unspecified');
  const revokedAt = new Date(order.time);
  let listed = 0;
  for (const [issuer, serials] of taken) {
    const entries = [...serials]
      .filter((serial) => !keyd.state.isRevoked(issuer, serial))
      .map((serial) => ({ serial, revokedAt, reason }));
    listed += await listOrdered(keyd, issuer, entries, order.orderSha256);
  }
  return listed;
}
