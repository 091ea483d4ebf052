import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { parseRequest, type RequestFormat, requestSha256 } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, EnrolmentTransactionRow, Tx } from '../store/index.ts';
import type { Pending } from './authorised.ts';
import { revokeAll } from './certificate-changes.ts';
import type { AuthorityDeps } from './deps.ts';
import type { Issued } from './issued.ts';
import type { Revoked } from './revocation.ts';
import { requireClock } from './time.ts';

/** How a requester names a transaction: its id, itself, and the nonce of our last answer, which the message carries. */
export interface TransactionRef {
  readonly id: Uint8Array;
  readonly requester: string;
  readonly recipNonce: Uint8Array | undefined;
  /** Of the answer that is about to be given. */
  readonly nonce: Uint8Array;
}

/** Records what belongs to a certificate in the very transaction in which it is recorded. */
export type Alongside = (tx: Tx, certificate: Certificate) => void;
/** Asks for the certificate: the first time, and again while it waits. */
export type Ask = (alongside: Alongside) => Promise<Issued | Pending>;

export interface TransactionStart extends Omit<TransactionRef, 'recipNonce'> {
  /** How it was asked, in the words of the protocol. */
  readonly kind: string;
  readonly certReqId: number;
  readonly format: RequestFormat;
  readonly request: Uint8Array;
  /** Whether the requester confirms what it gets. */
  readonly confirms: boolean;
}

/** A request as it was begun, with what it has led to. */
export type Outcome = Pick<EnrolmentTransactionRow, 'kind' | 'certReqId'> &
  (
    | { readonly certificate: DerCertificate; readonly confirmUntil: Date | undefined }
    | { readonly retryAfterSeconds: number }
  );

/** What a requester says of the certificate that it got. */
export interface Verdict {
  readonly accepted: boolean;
  /** Whether it speaks of this certificate. */
  matches(certificate: DerCertificate): boolean;
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

/** How long a certificate waits for its confirmation. */
export const CONFIRM_SECONDS = 300;
/** Transactions of one requester that may be open at a time. */
const MOST_OPEN = 256;
const HOUR_MS = 3_600_000;
/** Longer than a message is good for: what comes again meanwhile is known. */
const ENDED_KEPT_MS = HOUR_MS;
const WAITING_KEPT_MS = 30 * 24 * HOUR_MS;
/** Certificates that lapse in one transaction of the database. */
const LAPSE_AT_ONCE = 100;

type Row = EnrolmentTransactionRow;

/**
 * Enrolments that take several messages: a requester asks, may have to wait for an operator, and confirms what it got. A
 * certificate that is not confirmed in time, or that its requester does not want, is revoked, also after a restart. One
 * that was confirmed once is not taken back for want of another confirmation: so an old request that somebody plays again
 * harms nobody. REQ-KEY-REV-01
 */
export class EnrolmentTransactions {
  readonly #deps: AuthorityDeps;
  readonly #announce: (revoked: Revoked['certificates']) => Promise<unknown>;
  readonly #confirmMs: number;
  #forgottenAt = 0;

  /** @param announce makes revocations known after their COMMIT, and publishes the CRLs. */
  constructor(
    deps: AuthorityDeps,
    announce: (revoked: Revoked['certificates']) => Promise<unknown>,
    confirmSeconds = CONFIRM_SECONDS,
  ) {
    this.#deps = deps;
    this.#announce = announce;
    this.#confirmMs = confirmSeconds * 1000;
  }

  /**
   * Begins a transaction, or goes on with it where the same request comes again because its answer was lost.
   * @throws KeysteadError `cmp.transaction-used`, `cmp.transactions-many`, `cmp.confirmation-late`; what `ask` throws.
   */
  async begin(start: TransactionStart, ask: Ask): Promise<Outcome> {
    const { id, requester, kind, certReqId, format, request, nonce } = start;
    requireClock(this.#deps);
    const identity = requestSha256(parseRequest(request, format));
    const known = this.#deps.store.read((records) => records.transaction(id));
    if (known !== undefined) {
      requireSame(known, { requester, kind, requestSha256: identity });
      return this.#goOn(known, nonce, ask, start.confirms);
    }
    const open = this.#deps.store.read((records) => records.countOpenTransactions(requester));
    if (open >= MOST_OPEN)
      throw new KeysteadError('cmp.transactions-many', { field: 'transactionID', seen: `${open}` });
    const row = { id, requester, kind, certReqId, format, request, requestSha256: identity, nonce } as const;
    return this.#ask({ ...row, ...NOWHERE, changedAt: 0 }, ask, start.confirms);
  }

  /**
   * Asks again for what waits. @param askFor makes the request of the transaction again.
   * @throws KeysteadError `cmp.transaction-unknown`, `cmp.nonce-refused`, `cmp.confirmation-late`; what is asked throws.
   */
  async poll(ref: TransactionRef, confirms: boolean, askFor: (row: Row) => Ask): Promise<Outcome> {
    requireClock(this.#deps);
    const row = this.#of(ref);
    return this.#goOn(row, ref.nonce, askFor(row), confirms);
  }

  /**
   * Takes what a requester says of its certificate; the same again changes nothing.
   * @throws KeysteadError `cmp.transaction-unknown`, `cmp.nonce-refused`, `cmp.confirmation-refused`,
   *   `cmp.confirmation-late`; the certificate is revoked by then where it is late.
   */
  async confirm(ref: TransactionRef, verdict: Verdict): Promise<void> {
    requireClock(this.#deps);
    const { issuer, serial } = this.#of(ref);
    const certificate =
      issuer === null || serial === null
        ? undefined
        : this.#deps.store.read((records) => records.certificate(issuer, serial));
    if (certificate === undefined) throw unknown(ref, 'waiting');
    if (!verdict.matches(certificate.der as DerCertificate)) {
      throw new KeysteadError('cmp.confirmation-refused', { field: 'certHash', seen: certificate.serial });
    }
    const { late, revoked } = await this.#deps.store.commit((tx) => this.#confirmIn(tx, ref, certificate, verdict));
    if (revoked.length > 0) await this.#announce(revoked);
    if (late) throw new KeysteadError('cmp.confirmation-late', { field: 'certConf', seen: certificate.serial });
  }

  /** Revokes what was not confirmed in time, and forgets what ended long ago. */
  async tick(): Promise<void> {
    const now = this.#deps.clock.now().getTime();
    if (this.#deps.store.read((records) => records.transactionsDue(now, 1)).length > 0) {
      const revoked = await this.#deps.store.commit((tx) =>
        tx.transactionsDue(now, LAPSE_AT_ONCE).flatMap((row) => this.#lapse(tx, row, now)),
      );
      if (revoked.length > 0) await this.#announce(revoked);
    }
    if (Math.abs(now - this.#forgottenAt) < HOUR_MS) return;
    await this.#deps.store.commit((tx) => tx.forgetTransactions(now - ENDED_KEPT_MS, now - WAITING_KEPT_MS));
    this.#forgottenAt = now;
  }

  /** @throws KeysteadError `cmp.transaction-unknown`, `cmp.nonce-refused`. */
  #of(ref: TransactionRef): Row {
    const row = this.#deps.store.read((records) => records.transaction(ref.id));
    if (row === undefined || row.requester !== ref.requester) throw unknown(ref, 'none');
    const { recipNonce } = ref;
    const answers = [row.nonce, row.previousNonce].some(
      (nonce) => nonce !== null && recipNonce !== undefined && Buffer.compare(nonce, recipNonce) === 0,
    );
    if (!answers) throw new KeysteadError('cmp.nonce-refused', { field: 'recipNonce', seen: 'another' });
    return row;
  }

  async #goOn(row: Row, nonce: Uint8Array, ask: Ask, confirms: boolean): Promise<Outcome> {
    const next = { ...row, nonce, previousNonce: row.nonce };
    if (row.state === 'waiting') return this.#ask(next, ask, confirms);
    const { issuer, serial } = row;
    if (row.state === 'rejected' || row.state === 'lapsed' || issuer === null || serial === null) {
      throw new KeysteadError('cmp.confirmation-late', { field: 'transactionID', seen: row.state });
    }
    const certificate = await this.#deps.store.commit((tx) => {
      const now = tx.transaction(row.id);
      if (now !== undefined) tx.putTransaction({ ...now, nonce, previousNonce: now.nonce });
      return tx.certificate(issuer, serial);
    });
    if (certificate === undefined) throw new KeysteadError('internal.unexpected', { field: 'transaction' });
    return outcomeOf(next, certificate.der as DerCertificate);
  }

  async #ask(row: Row, ask: Ask, confirms: boolean): Promise<Outcome> {
    const standing = (certificate: Pick<Certificate, 'issuer' | 'serial'>, until: number | null): Row => ({
      ...row,
      state: until === null ? 'confirmed' : 'issued',
      issuer: certificate.issuer,
      serial: certificate.serial,
      confirmUntil: until,
      changedAt: this.#now(),
    });
    // Two requests may have begun side by side under one id: the row of the first is never written over.
    const put = (tx: Tx, next: Row): void => {
      requireSame(tx.transaction(row.id), row);
      tx.putTransaction(next);
    };
    const got = await ask((tx, certificate) =>
      put(tx, standing(certificate, confirms ? this.#now() + this.#confirmMs : null)),
    );
    if ('pending' in got) {
      await this.#deps.store.commit((tx) => put(tx, { ...row, state: 'waiting', changedAt: this.#now() }));
      return { kind: row.kind, certReqId: row.certReqId, retryAfterSeconds: got.retryAfterSeconds };
    }
    const recorded = await this.#deps.store.commit((tx) => {
      const own = tx.transaction(row.id);
      if (own?.serial === got.serial && own.issuer === got.issuer) return own;
      // Issued before, to another transaction: where that one is still to be confirmed, by then as well.
      const others = tx.transactionsOfCertificate(got.issuer, got.serial);
      const open = others.find(({ state }) => state === 'issued');
      const again = standing(got, open?.confirmUntil ?? null);
      put(tx, again);
      return again;
    });
    return outcomeOf(recorded, got.certificate);
  }

  #confirmIn(
    tx: Tx,
    ref: TransactionRef,
    certificate: Certificate,
    { accepted, actor, requestId }: Verdict,
  ): { late: boolean; revoked: Revoked['certificates'] } {
    const now = this.#now();
    const row = tx.transaction(ref.id);
    if (row === undefined) throw unknown(ref, 'none');
    if (row.state === 'issued' && row.confirmUntil !== null && row.confirmUntil <= now) {
      return { late: accepted, revoked: this.#lapse(tx, row, now) };
    }
    if (row.state !== 'issued') {
      if (row.state === 'confirmed' && !accepted) {
        throw new KeysteadError('cmp.confirmation-refused', { field: 'certConf', seen: 'it was confirmed before' });
      }
      return { late: row.state !== 'confirmed' && accepted, revoked: [] };
    }
    const { issuer, serial, profile } = certificate;
    this.#move(tx, certificate, accepted ? 'confirmed' : 'rejected', now);
    const subject = { issuer, serial, profile };
    const type = accepted ? 'certificate.confirmed' : 'certificate.rejected';
    this.#deps.audit(tx, { type, actor, requestId, outcome: 'done', subject });
    return { late: false, revoked: accepted ? [] : this.#revoke(tx, certificate, actor, requestId) };
  }

  #lapse(tx: Tx, { id, issuer, serial }: Row, now: number): Revoked['certificates'] {
    const certificate = issuer === null || serial === null ? undefined : tx.certificate(issuer, serial);
    // Another row of the same certificate may have taken this one along.
    if (certificate === undefined || tx.transaction(id)?.state !== 'issued') return [];
    this.#move(tx, certificate, 'lapsed', now);
    if (certificate.status !== 'good' || certificate.notAfter < now) return [];
    return this.#revoke(tx, certificate, { kind: 'system', id: 'authority' }, certificate.requestId);
  }

  /** All transactions of one certificate stand where it stands. */
  #move(tx: Tx, { issuer, serial }: Certificate, state: Row['state'], now: number): void {
    for (const row of tx.transactionsOfCertificate(issuer, serial)) {
      if (row.state === 'issued') tx.putTransaction({ ...row, state, changedAt: now });
    }
  }

  #revoke(tx: Tx, certificate: Certificate, actor: AuditEvent['actor'], requestId: string): Revoked['certificates'] {
    const now = this.#deps.clock.now();
    const order = { certificates: [certificate], reason: 'cessationOfOperation', actor, requestId, now } as const;
    return revokeAll(tx, this.#deps.audit, order);
  }

  #now(): number {
    return this.#deps.clock.now().getTime();
  }
}

/** A transaction that has led nowhere yet. */
const NOWHERE = { state: 'waiting', issuer: null, serial: null, previousNonce: null, confirmUntil: null } as const;

/** One id is one request of one requester. @throws KeysteadError `cmp.transaction-used`. */
function requireSame(known: Row | undefined, begun: Pick<Row, 'requester' | 'kind' | 'requestSha256'>): void {
  if (known === undefined) return;
  const { requester, kind, requestSha256: request } = begun;
  if (known.requester === requester && known.kind === kind && known.requestSha256 === request) return;
  throw new KeysteadError('cmp.transaction-used', { field: 'transactionID', seen: known.kind });
}

const outcomeOf = ({ kind, certReqId, confirmUntil, state }: Row, certificate: DerCertificate): Outcome => ({
  kind,
  certReqId,
  certificate,
  confirmUntil: state === 'issued' && confirmUntil !== null ? new Date(confirmUntil) : undefined,
});

const unknown = ({ requester }: TransactionRef, seen: string): KeysteadError =>
  new KeysteadError('cmp.transaction-unknown', { field: 'transactionID', seen: `${seen}, of ${requester}` });
