import { mkdirSync } from 'node:fs';
import type { Serial } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import type { ListedIssuer } from '@keystead/core/lifecycle';
import type { CertStatus } from '@keystead/core/x509';
import type { OperatorClient } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { CrlRow } from '../store/index.ts';
import { adoptListed } from './adopt-crl.ts';
import { Authorisations } from './authorisations.ts';
import { AuthorisedEnrolment, type AuthorisedRequest, type Pending } from './authorised.ts';
import { Certification } from './certification.ts';
import { CrlPublisher } from './crl.ts';
import { type AuthorityDeps, answeringIssuers } from './deps.ts';
import { type DeviceRequest, Enrolment } from './enrolment.ts';
import { CertificateRecords, type Issued } from './issued.ts';
import { type ReadmissionOrder, type Readmitted, readmitDevice } from './readmission.ts';
import { type Reconciled, reconcile, recordEvidenceSigner } from './reconciliation.ts';
import { Revocation, type RevocationOrder, type Revoked } from './revocation.ts';
import { RevocationActs } from './revocation-acts.ts';
import { RevocationCensus } from './revocation-census.ts';
import { type ServerKey, type ServerKeyRequest, ServerKeys } from './server-key.ts';
import { CertificateStatus, type StatusListener } from './status.ts';
import { EnrolmentTransactions } from './transactions.ts';
import { requireNoneWithheld, withheldOf } from './withheld.ts';

export interface AuthorityOptions extends AuthorityDeps {
  /** Where `<role>.crl` is published. */
  readonly crlDirectory: string;
  /** How long after the end of its LDevID a device may recover by its IDevID, where it is not as the policy says. */
  readonly graceSeconds?: number;
  /** How long a certificate waits to be confirmed, where it is not as transactions.ts says. */
  readonly confirmSeconds?: number;
  /** Seals the secrets of enrolment authorisations: 32 bytes that the database never has. Stays with the caller. */
  readonly sealingKey: SecretBytes;
}

/**
 * Issues, renews, revokes, and tells how certificates stand. Every call resolves only after what it did is durable
 * with its audit entry, and every refusal is audited before it is thrown.
 */
export class Authority {
  readonly records: CertificateRecords;
  readonly authorisations: Authorisations;
  /** Requests under an authorisation: made, approved, refused. */
  readonly authorised: AuthorisedEnrolment;
  /** Revocations that take several people or several transactions, and releases of holds. */
  readonly revocations: RevocationActs;
  /** What a revocation would take. */
  readonly census: RevocationCensus;
  /** Enrolments of several messages, whose certificates are confirmed. */
  readonly transactions: EnrolmentTransactions;
  readonly #deps: AuthorityDeps;
  readonly #enrolment: Enrolment;
  readonly #serverKeys: ServerKeys;
  readonly #revocation: Revocation;
  readonly #status: CertificateStatus;
  readonly #crls: CrlPublisher;

  constructor(options: AuthorityOptions) {
    this.#deps = options;
    this.records = new CertificateRecords(options);
    this.#status = new CertificateStatus(options);
    const changed: StatusListener = (issuer, serial) => this.#status.changed(issuer, serial);
    const certification = new Certification(options, this.records, changed);
    this.#enrolment = new Enrolment(options, certification, options.graceSeconds);
    this.authorisations = new Authorisations(options, options.sealingKey);
    this.authorised = new AuthorisedEnrolment(options, certification, this.authorisations);
    this.transactions = new EnrolmentTransactions(
      options,
      (revoked) => this.announceRevoked(revoked),
      options.confirmSeconds,
    );
    mkdirSync(options.crlDirectory, { recursive: true });
    this.#crls = new CrlPublisher(options, options.crlDirectory);
    this.#revocation = new Revocation(options, this.#crls, changed);
    this.#serverKeys = new ServerKeys(options, this.records, this.#enrolment, {
      changed,
      publish: (revoked) => this.#revocation.publish(revoked.map(({ issuer }) => issuer)),
    });
    this.revocations = new RevocationActs(options, this.#revocation, this.#status);
    this.census = new RevocationCensus(options);
  }

  /** Repairs what a crash left, and puts every CRL in place. Call it before the first request is taken. */
  async start(): Promise<Reconciled> {
    await recordEvidenceSigner(this.#deps);
    const reconciled = await this.reconcile();
    await this.#crls.findOverdue();
    await this.revocations.resume();
    await this.#crls.publishDue();
    return reconciled;
  }

  /**
   * What is to be done from time to time: CRLs that are due, and signatures that never came into the records.
   * @throws KeysteadError `crl.late`, `crl.withheld`, for whoever looks after this process to hear of.
   */
  async tick(): Promise<void> {
    await this.reconcile();
    await this.revocations.resume();
    await this.transactions.tick();
    await this.#crls.publishDue();
    await this.#crls.requireInTime();
    const issuers = answeringIssuers(this.#deps, this.#deps.clock.now());
    this.#deps.store.read((records) => requireNoneWithheld(records, issuers));
  }

  /** See {@link Enrolment.enrol}. */
  enrol(request: DeviceRequest): Promise<Issued> {
    return this.#enrolment.enrol(request);
  }

  /** See {@link Enrolment.reenrol}. */
  reenrol(request: DeviceRequest): Promise<Issued> {
    return this.#enrolment.reenrol(request);
  }

  /** See {@link AuthorisedEnrolment.enrol}. */
  enrolAuthorised(request: AuthorisedRequest): Promise<Issued | Pending> {
    return this.authorised.enrol(request);
  }

  /** See {@link ServerKeys.issue}. */
  serverKey(request: ServerKeyRequest): Promise<ServerKey> {
    return this.#serverKeys.issue(request);
  }

  /** See {@link Enrolment.operator}. */
  operatorCertificate(v: {
    name: string;
    csr: Uint8Array;
    requestId: string;
    client?: OperatorClient;
  }): Promise<Issued> {
    return this.#enrolment.operator(v);
  }

  /** See {@link Enrolment.server}. */
  serverCertificate(v: {
    hosts: string[];
    csr: Uint8Array;
    requestId: string;
    actor: AuditEvent['actor'];
    renews?: boolean;
  }): Promise<Issued> {
    return this.#enrolment.server(v);
  }

  /** See {@link Enrolment.station}. */
  stationCertificate(v: Parameters<Enrolment['station']>[0]): Promise<Issued> {
    return this.#enrolment.station(v);
  }

  /** See {@link Enrolment.registrationAuthority}. */
  registrationAuthority(v: { profile: 'cmp-ra' | 'scep-ra'; csr: Uint8Array; requestId: string }): Promise<Issued> {
    return this.#enrolment.registrationAuthority(v);
  }

  /** See {@link Revocation.revoke}. */
  revoke(order: RevocationOrder): Promise<Revoked> {
    return this.#revocation.revoke(order);
  }

  /** For acts that revoke in a transaction of their own: makes the change known and publishes the CRLs. */
  announceRevoked(
    certificates: readonly { readonly issuer: ListedIssuer; readonly serial: Serial }[],
  ): Promise<boolean> {
    return this.#revocation.announce(certificates);
  }

  /** See {@link readmitDevice}. */
  readmit(order: ReadmissionOrder): Promise<Readmitted> {
    return readmitDevice({ ...this.#deps, graceSeconds: this.#enrolment.graceSeconds }, order);
  }

  /** Makes and publishes a CRL now. @throws KeysteadError of keyd or of the store. */
  publishCrl(issuer: ListedIssuer): Promise<CrlRow> {
    return this.#crls.publish(issuer);
  }

  /**
   * After a restore: publishes every CRL anew, since those of the backup are older than what the field has seen, and
   * takes into the records what keyd's lists have and they have not.
   */
  async afterRestore(): Promise<void> {
    for (const issuer of answeringIssuers(this.#deps, this.#deps.clock.now())) await this.#crls.publish(issuer);
    await adoptListed(this.#deps, this.#crls, (issuer, serial) => this.#status.changed(issuer, serial));
  }

  /** The last CRL that was published. */
  crl(issuer: ListedIssuer): CrlRow | undefined {
    return this.#crls.latest(issuer);
  }

  /** See {@link withheldOf}. */
  withheld(): ReadonlyMap<ListedIssuer, number> {
    return this.#deps.store.read(withheldOf);
  }

  /** See {@link CrlPublisher.octets}. */
  crlOctets(issuer: ListedIssuer): ReturnType<CrlPublisher['octets']> {
    return this.#crls.octets(issuer);
  }

  /** How a certificate stands by the records. */
  statusOf(issuer: ListedIssuer, serial: Serial): CertStatus {
    return this.#status.of(issuer, serial);
  }

  /** See {@link CertificateStatus.compromised}. */
  caCompromised(issuer: ListedIssuer, at: Date): void {
    this.#status.compromised(issuer, at);
  }

  /** See {@link CertificateStatus.onChanged}. */
  onStatusChanged(listener: StatusListener): () => void {
    return this.#status.onChanged(listener);
  }

  /** See {@link CrlPublisher.onPublished}. */
  onCrlPublished(listener: (issuer: ListedIssuer) => void): () => void {
    return this.#crls.onPublished(listener);
  }

  /** See {@link reconcile}; publishes the CRLs that change by it. */
  async reconcile(): Promise<Reconciled> {
    const reconciled = await reconcile(this.#deps, this.records);
    if (reconciled.abandoned.length > 0) await this.announceRevoked(reconciled.abandoned);
    return reconciled;
  }
}
