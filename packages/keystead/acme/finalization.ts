import { type DerCertificate, sameBytes, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type AuthorisedSubject, profileOf } from '@keystead/core/lifecycle';
import {
  checkPublicKey,
  checkRequest,
  nameValues,
  type ParsedCsr,
  parseCsr,
  verifyProofOfPossession,
} from '@keystead/core/x509';
import type { Issued, Pending } from '../authority/index.ts';
import type { AcmeOrderRow, Reader } from '../store/index.ts';
import { type Account, type AcmeDeps, actorOfAccount } from './deps.ts';
import type { Identifier } from './identifier.ts';
import { type OrderedName, orderedNames, subjectOfNames } from './identifiers.ts';
import { isOver, type Orders, type OrderView } from './orders.ts';
import { problemOf } from './problem.ts';
import { ORDER_STATES, stateAfter } from './states.ts';

/** How many orders that were left in process one round takes up again. */
const AT_ONCE = 64;

/**
 * From a ready order to its certificate. The request stands in the records before keyd is asked, so that a crash at
 * any point is followed by the same certificate: the authority gives the one that this request already got.
 */
export class Finalization {
  readonly #deps: AcmeDeps;
  readonly #orders: Orders;
  /** One settlement of an order at a time. */
  readonly #settling = new Map<string, Promise<OrderView>>();

  constructor(deps: AcmeDeps, orders: Orders) {
    this.#deps = deps;
    this.#orders = orders;
  }

  /**
   * @param csr PKCS#10, DER. The same again gets what became of it.
   * @throws KeysteadError `acme.unknown`, `acme.order-not-ready`, `acme.csr-differs`, `csr.*`, `key.*`, with which the
   *   order stays as it is; what keyd or an operator refuses, after which it is invalid; `store.*`, `keyd.*`.
   */
  async finalize(account: Account, id: string, csr: Uint8Array, requestId: string): Promise<OrderView> {
    const { store, clock } = this.#deps;
    const seen = store.read((records) => this.#orders.own(records, account, id));
    if (isSame(seen, csr)) return seen.state === 'processing' ? this.settle(id, requestId) : this.#orders.viewOf(id);
    this.#requireReady(seen, clock.now().getTime());
    const request = parseCsr(csr);
    verifyProofOfPossession(request);
    store.read((records) => this.#requireFit(records, account, seen, request));
    await store.commit((tx) => {
      const row = this.#orders.own(tx, account, id);
      if (isSame(row, csr)) return;
      const now = clock.now().getTime();
      this.#requireReady(row, now);
      if (tx.acme.authorizationsOf(id).some((one) => one.state !== 'valid' || now >= one.expiresAt)) {
        throw new KeysteadError('acme.order-not-ready', { field: 'authorizations', seen: 'one is no longer valid' });
      }
      tx.acme.setOrder({ ...row, state: stateAfter(ORDER_STATES, 'ready', 'finalize'), csr });
      this.#deps.audit(tx, {
        type: 'acme.order-finalized',
        actor: actorOfAccount(account),
        requestId,
        outcome: 'done',
        subject: { account: account.id, order: id },
        detail: { csrSha256: toHex(sha256(csr)), spkiSha256: spkiSha256(request.spki) },
      });
    });
    return this.settle(id, requestId);
  }

  /** Has an order in process end: with a certificate, or refused; or it waits for an operator. Others stay as they are. */
  settle(id: string, requestId: string): Promise<OrderView> {
    const running = this.#settling.get(id) ?? this.#settle(id, requestId).finally(() => this.#settling.delete(id));
    this.#settling.set(id, running);
    return running;
  }

  /** Takes up what a crash left, and what waited for an operator. */
  async tick(): Promise<void> {
    const left = this.#deps.store.read((records) => records.acme.ordersInProcess(AT_ONCE));
    for (const { id } of left) {
      try {
        await this.settle(id, 'none');
      } catch (error) {
        // A refusal stands in the order; what was not there for a moment is asked again.
        if (!(error instanceof KeysteadError)) throw error;
      }
    }
  }

  async #settle(id: string, requestId: string): Promise<OrderView> {
    const { authority, store } = this.#deps;
    const { row, account } = store.read(({ acme }) => {
      const order = acme.order(id);
      return { row: order, account: order === undefined ? undefined : acme.account(order.accountId) };
    });
    if (row?.state !== 'processing' || row.csr === null || account === undefined) return this.#orders.viewOf(id);
    const { csr } = row;
    let answer: Issued | Pending;
    try {
      if (account.state !== 'valid') throw new KeysteadError('acme.account-not-valid', { seen: account.state });
      answer = await authority.enrolAuthorised({
        way: 'acme',
        authorisationId: account.authorisationId,
        csr,
        subject: subjectFor(row, parseCsr(csr)),
        requestId,
      });
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable' || error.kind === 'internal') throw error;
      await this.#refuse(id, account, error, requestId);
      throw error;
    }
    if ('pending' in answer) return { ...this.#orders.viewOf(id), retryAfterSeconds: answer.retryAfterSeconds };
    await this.#issue(id, account, answer, requestId);
    return this.#orders.viewOf(id);
  }

  async #issue(id: string, account: Account, issued: Issued, requestId: string): Promise<void> {
    const { settings, store } = this.#deps;
    await store.commit((tx) => {
      const row = tx.acme.order(id);
      if (row?.state !== 'processing') return;
      const { issuer, serial } = issued;
      tx.acme.setOrder({ ...row, state: stateAfter(ORDER_STATES, row.state, 'issue'), issuer, serial });
      // The order is kept as long as its certificate: by it the account revokes and renews.
      const end = Math.min(issued.notAfter.getTime(), Number.MAX_SAFE_INTEGER - settings.keepSeconds * 1000);
      tx.acme.setOrderExpiry(id, Math.max(row.expiresAt, end));
      this.#deps.audit(tx, {
        type: 'acme.order-valid',
        actor: actorOfAccount(account),
        requestId,
        outcome: 'done',
        subject: { account: account.id, order: id, issuer, serial },
      });
    });
  }

  async #refuse(id: string, account: Account, error: KeysteadError, requestId: string): Promise<void> {
    await this.#deps.store.commit((tx) => {
      const row = tx.acme.order(id);
      if (row?.state !== 'processing') return;
      const state = stateAfter(ORDER_STATES, row.state, 'refuse');
      tx.acme.setOrder({ ...row, state, error: JSON.stringify(problemOf(error)) });
      this.#deps.audit(tx, {
        type: 'acme.order-invalid',
        actor: actorOfAccount(account),
        requestId,
        outcome: 'refused',
        subject: { account: account.id, order: id },
        detail: { code: error.code },
      });
    });
  }

  #requireReady(row: AcmeOrderRow, now: number): void {
    if (isOver(row, now)) throw new KeysteadError('acme.order-not-ready', { field: 'order', seen: 'expired' });
    if (row.state !== 'ready') throw new KeysteadError('acme.order-not-ready', { field: 'order', seen: row.state });
  }

  /** All that can be said of a request before the order is given over to it, so that the client may send another. */
  #requireFit(records: Reader, account: Account, order: AcmeOrderRow, csr: ParsedCsr): void {
    const { authority, policy } = this.#deps;
    const names = namesOf(order);
    requireSameNames(names, csr);
    for (const { attestedSpki } of records.acme.authorizationsOf(order.id)) {
      if (attestedSpki === null || attestedSpki === spkiSha256(csr.spki)) continue;
      throw new KeysteadError('acme.csr-differs', { field: 'csr', seen: 'another key than the one that was attested' });
    }
    const { content } = authority.authorisations.usable(account.authorisationId, 'acme').signed;
    const profile = profileOf(policy, content.profile);
    const subject = subjectFor(order, csr);
    checkRequest(csr, profile, 'hosts' in subject ? { hosts: subject.hosts } : { deviceId: subject.deviceId });
    checkPublicKey(
      csr.spki,
      profile.keyAlgorithms.filter((one) => policy.algorithms.some((allowed) => allowed === one)),
    );
    const used = records.keyUse(spkiSha256(csr.spki));
    if (used !== undefined && used.serial !== null) throw new KeysteadError('key.already-used', { field: 'csr' });
  }
}

const isSame = ({ csr }: AcmeOrderRow, other: Uint8Array): boolean => csr !== null && sameBytes(csr, other);

const namesOf = ({ identifiers }: AcmeOrderRow): OrderedName[] => orderedNames(JSON.parse(identifiers) as Identifier[]);

/** The subject of an order, with the name first that the request has as its common name. */
const subjectFor = (order: AcmeOrderRow, csr: ParsedCsr): AuthorisedSubject =>
  subjectOfNames(namesOf(order), nameValues(csr.subject, 'CN')[0]);

/**
 * RFC 8555 section 7.4: exactly the names of the order, in subjectAltName or as the common name. A device's request may
 * name it or not (draft-ietf-acme-device-attest-10 section 3.2); what it names is held to the profile.
 */
function requireSameNames(names: readonly OrderedName[], csr: ParsedCsr): void {
  const subject = subjectOfNames(names);
  if ('deviceId' in subject) return;
  const given = (csr.requested.subjectAltName ?? []).map((name) => name.replace(/^(?:DNS|IP):/, ''));
  const asked = new Set([...given, ...nameValues(csr.subject, 'CN')]);
  const differs = [...asked].find((name) => !subject.hosts.includes(name));
  const missing = subject.hosts.find((host) => !asked.has(host));
  if (differs !== undefined) {
    throw new KeysteadError('acme.csr-differs', {
      field: 'csr',
      seen: `${JSON.stringify(differs.slice(0, 80))} is not of the order`,
    });
  }
  if (missing !== undefined)
    throw new KeysteadError('acme.csr-differs', { field: 'csr', seen: `${missing} is missing` });
}

/** The chains of a certificate: the usual one ends below the root; the other has it, for peers that want it whole. */
export function chainsOf(
  deps: Pick<AcmeDeps, 'hierarchy' | 'store'>,
  order: Pick<AcmeOrderRow, 'issuer' | 'serial'>,
): readonly (readonly DerCertificate[])[] {
  const { serial } = order;
  const { issuers, newWithOld, certificates } = deps.hierarchy;
  const issuer = issuers.find(({ id }) => id === order.issuer);
  const found =
    issuer === undefined || serial === null
      ? undefined
      : deps.store.read((records) => records.certificate(issuer.id, serial));
  if (issuer === undefined || found === undefined) {
    throw new KeysteadError('acme.unknown', { field: 'certificate', seen: serial ?? 'none' });
  }
  const usual = [found.der as DerCertificate, issuer.certificate, ...newWithOld];
  return [usual, [...usual, certificates.root]];
}
