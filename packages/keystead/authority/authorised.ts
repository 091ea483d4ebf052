import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Authorisation,
  type AuthorisedSubject,
  type EnrolmentWay,
  profileOf,
  requireAuthorisationTime,
  requireAuthorisedNames,
  type SignedAuthorisation,
  verifyAuthorisation,
} from '@keystead/core/lifecycle';
import {
  checkPublicKey,
  checkRequest,
  parseRequest,
  type RequestFormat,
  requestSha256,
  verifyProofOfPossession,
  withoutChallenge,
} from '@keystead/core/x509';
import type { Certificate, EnrolmentRequestRow, Reader, Tx } from '../store/index.ts';
import { type AskedBy, type Authorisations, requireOwn, rowOf, unwithdrawn } from './authorisations.ts';
import type { Certification } from './certification.ts';
import type { AuthorityDeps } from './deps.ts';
import type { Issued } from './issued.ts';

/** A request under an enrolment authorisation whose secret the protocol has verified. */
export interface AuthorisedRequest {
  readonly way: EnrolmentWay;
  readonly authorisationId: string;
  /** The request, DER: PKCS#10 unless `format` says otherwise. */
  readonly csr: Uint8Array;
  readonly format?: RequestFormat;
  readonly subject: AuthorisedSubject;
  readonly requestId: string;
  /** What else is recorded with the certificate, in the same transaction. */
  alongside?(tx: Tx, certificate: Certificate): void;
}

/** A request that waits for an operator. */
export interface Pending {
  readonly pending: string;
  readonly retryAfterSeconds: number;
}

/** How soon to ask again: an operator is a person. */
const RETRY_AFTER_SECONDS = 30;
/** Requests of one authorisation that may wait at a time. */
const MOST_WAITING = 256;

/** What a request is issued under: its authorisation, or the operator's approval of it. */
interface Ground {
  readonly document: string;
  readonly signed: SignedAuthorisation;
  readonly waited?: EnrolmentRequestRow;
}

/** Enrolment of those who have no certificate of ours yet, under what an operator signed. REQ-KEY-STO-03 */
export class AuthorisedEnrolment {
  readonly #deps: AuthorityDeps;
  readonly #certification: Certification;
  readonly #authorisations: Authorisations;

  constructor(deps: AuthorityDeps, certification: Certification, authorisations: Authorisations) {
    this.#deps = deps;
    this.#certification = certification;
    this.#authorisations = authorisations;
  }

  /**
   * Issues, or leaves the request for an operator where the authorisation wants that: the same request made again gets
   * what was decided. The same request again after the certificate was issued gets that certificate.
   * @throws KeysteadError `authorisation.*`, `enrolment-request.too-many`, `device.*`, `csr.*`, `key.*`, each audited;
   *   `store.*`, `keyd.unreachable`, `clock.went-back`.
   */
  async enrol(request: AuthorisedRequest): Promise<Issued | Pending> {
    const { authorisationId, requestId } = request;
    const actor = { kind: 'authorised', id: authorisationId } as const;
    let ground: Ground | Pending;
    try {
      ground = await this.#groundOf(request, { actor, requestId });
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        await this.#deps.refusals.refused({ what: `enrol by ${request.way}`, error, actor, requestId });
      }
      throw error;
    }
    return 'pending' in ground ? ground : this.#issue(request, ground);
  }

  /**
   * Takes an operator's approval of one request: an authorisation for it alone, which keyd verifies once more.
   * @throws KeysteadError `enrolment-request.*`, `authorisation.*`.
   */
  async approve(id: string, document: string, by: AskedBy): Promise<void> {
    const now = this.#deps.clock.now();
    const signed = verifyAuthorisation(document, this.#deps.policy);
    const { content } = signed;
    requireOwn(signed.signer, by);
    requireAuthorisationTime(content, now);
    await this.#deps.store.commit((tx) => {
      const request = requestOf(tx, id);
      const parent = verifyAuthorisation(unwithdrawn(tx, request.authorisationId).document, this.#deps.policy).content;
      if (content.request?.sha256 !== request.csrSha256 || content.request.under !== request.authorisationId) {
        throw new KeysteadError('authorisation.request-differs', { field: 'request', seen: id });
      }
      if (content.profile !== parent.profile) {
        throw new KeysteadError('authorisation.profile-forbidden', { field: 'profile', seen: content.profile });
      }
      requireAuthorisedNames(content, subjectOf(request));
      if (request.approvalId === content.id && tx.authorisation(content.id)?.document === document) return;
      requireWaiting(request);
      requireUsesLeft(tx, parent);
      if (tx.authorisation(content.id) !== undefined) {
        throw new KeysteadError('authorisation.id-reused', { field: 'id', seen: content.id });
      }
      tx.insertAuthorisation(rowOf(signed, document, now));
      const decided = { decidedAt: now.getTime(), decidedBy: by.actor.id, approvalId: content.id, reason: null };
      tx.decideEnrolmentRequest({ id, state: 'approved', ...decided });
      this.#deps.audit(tx, {
        type: 'enrolment.approved',
        ...by,
        outcome: 'done',
        subject: { request: id, authorisation: request.authorisationId },
        detail: { approval: content.id, csrSha256: request.csrSha256 },
      });
    });
  }

  /** Refuses one request for good. @throws KeysteadError `enrolment-request.*`. */
  async refuse(id: string, reason: string, by: AskedBy): Promise<void> {
    const now = this.#deps.clock.now();
    await this.#deps.store.commit((tx) => {
      const request = requestOf(tx, id);
      if (request.state === 'refused') return;
      requireWaiting(request);
      const decided = { decidedAt: now.getTime(), decidedBy: by.actor.id, approvalId: null, reason };
      tx.decideEnrolmentRequest({ id, state: 'refused', ...decided });
      this.#deps.audit(tx, {
        type: 'enrolment.refused',
        ...by,
        outcome: 'done',
        subject: { request: id, authorisation: request.authorisationId },
        detail: { reason },
      });
    });
  }

  async #groundOf(request: AuthorisedRequest, by: AskedBy): Promise<Ground | Pending> {
    const { way, authorisationId, csr, format, subject } = request;
    const { row, signed } = this.#authorisations.usable(authorisationId, way);
    requireAuthorisedNames(signed.content, subject);
    if (!signed.content.approval) return { document: row.document, signed };
    const csrSha256 = requestSha256(parseRequest(csr, format));
    const waited = this.#deps.store.read((records) => records.enrolmentRequestOf(authorisationId, csrSha256));
    if (waited === undefined) return this.#wait(request, signed.content, csrSha256, by);
    if (waited.state === 'waiting') return { pending: waited.id, retryAfterSeconds: RETRY_AFTER_SECONDS };
    if (waited.approvalId === null) {
      throw new KeysteadError('authorisation.refused', { field: 'csr', seen: waited.reason ?? 'no reason given' });
    }
    if (waited.state === 'issued') return { ...this.#issuedUnder(waited.approvalId), waited };
    const approval = this.#authorisations.usable(waited.approvalId, way);
    return { document: approval.row.document, signed: approval.signed, waited };
  }

  /** The approval of what was issued: its time is over, perhaps, and keyd gives nothing new for it then. */
  #issuedUnder(approvalId: string): Ground {
    const { document } = this.#deps.store.read((records) => unwithdrawn(records, approvalId));
    return { document, signed: verifyAuthorisation(document, this.#deps.policy) };
  }

  /** Keeps the request until it is decided. One that could never be granted is refused at once. */
  async #wait(
    request: AuthorisedRequest,
    authorisation: Authorisation,
    csrSha256: string,
    by: AskedBy,
  ): Promise<Pending> {
    const { authorisationId, csr, format, subject, way } = request;
    const asked = parseRequest(csr, format);
    const profile = profileOf(this.#deps.policy, authorisation.profile);
    checkPublicKey(asked.spki, profile.keyAlgorithms);
    checkRequest(asked, profile, subject);
    verifyProofOfPossession(asked);
    const id = toHex(randomBytes(8));
    const pending = await this.#deps.store.commit((tx) => {
      // The same request side by side: the first one stands.
      const known = tx.enrolmentRequestOf(authorisationId, csrSha256);
      if (known !== undefined) return known.id;
      requireUsesLeft(tx, authorisation);
      if (tx.countWaiting(authorisationId) >= MOST_WAITING) {
        throw new KeysteadError('enrolment-request.too-many', { field: 'csr', seen: `${MOST_WAITING} wait` });
      }
      tx.insertEnrolmentRequest({
        id,
        authorisationId,
        csrSha256,
        // SCEP has the secret of its authorisation in there, and no secret goes into the database as it is.
        csr: format === 'crmf' ? csr : withoutChallenge(csr),
        subject: JSON.stringify(subject),
        way,
        state: 'waiting',
        requestedAt: this.#deps.clock.now().getTime(),
        decidedAt: null,
        decidedBy: null,
        approvalId: null,
        reason: null,
      });
      this.#deps.audit(tx, {
        type: 'enrolment.requested',
        ...by,
        outcome: 'done',
        subject: { request: id, authorisation: authorisationId },
        detail: { csrSha256, way, for: nameOf(subject) },
      });
      return id;
    });
    return { pending, retryAfterSeconds: RETRY_AFTER_SECONDS };
  }

  #issue(request: AuthorisedRequest, { document, signed, waited }: Ground): Promise<Issued> {
    const { authorisationId, csr, format, subject, requestId, way } = request;
    const { id, profile } = signed.content;
    const device = 'deviceId' in subject ? subject.deviceId : undefined;
    const hosts = 'hosts' in subject ? [...subject.hosts] : undefined;
    return this.#certification.certify({
      what: `enrol by ${way}`,
      csr,
      format,
      profile,
      owner: device === undefined ? `system:${nameOf(subject)}` : `device:${device}`,
      subject: device === undefined ? { hosts } : { deviceId: device },
      actor: { kind: 'authorised', id: authorisationId },
      requestId,
      requester: { kind: 'authorised', id, authorisation: document, deviceId: device },
      hosts,
      allowed: (records) => {
        // Withdrawn meanwhile, or its approval was.
        unwithdrawn(records, authorisationId);
        unwithdrawn(records, id);
        if (device !== undefined) requireKnown(records, device);
      },
      alongside: (tx, certificate) => {
        request.alongside?.(tx, certificate);
        if (waited !== undefined) tx.enrolmentRequestIssued(waited.id);
        if (device !== undefined && tx.device(device)?.state === 'provisioned') {
          tx.setDeviceState(device, 'enrolled', this.#deps.clock.now().getTime());
        }
      },
    });
  }
}

/** For whom a request was made. */
export const subjectOf = ({ subject }: EnrolmentRequestRow): AuthorisedSubject =>
  JSON.parse(subject) as AuthorisedSubject;

/** The name of the subject for people: the device, or the first host. */
export const nameOf = (subject: AuthorisedSubject): string =>
  'deviceId' in subject ? subject.deviceId : (subject.hosts[0] ?? '');

function requestOf(records: Reader, id: string): EnrolmentRequestRow {
  const request = records.enrolmentRequest(id);
  if (request === undefined) throw new KeysteadError('enrolment-request.unknown', { field: 'id', seen: id });
  return request;
}

function requireWaiting({ id, state, decidedBy }: EnrolmentRequestRow): void {
  if (state === 'waiting') return;
  throw new KeysteadError('enrolment-request.decided', { field: id, seen: `${state} by ${decidedBy ?? 'nobody'}` });
}

/**
 * keyd counts a use of the approval, whose one request it sees; how many may be approved is held here, and by the
 * operator who signs each. @throws KeysteadError `authorisation.spent`.
 */
function requireUsesLeft(records: Reader, { id, uses }: Authorisation): void {
  const approved = records.countApproved(id);
  if (approved < uses) return;
  throw new KeysteadError('authorisation.spent', { field: 'uses', seen: `${approved} of ${uses}` });
}

/** @throws KeysteadError `device.unknown`, `device.blocked`. */
function requireKnown(records: Reader, deviceId: string): void {
  const device = records.device(deviceId);
  if (device === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
  if (device.state === 'stolen' || device.state === 'decommissioned') {
    throw new KeysteadError('device.blocked', { field: deviceId, seen: device.state });
  }
}
