import { dirname } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import type { Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerId,
  type OnlineCa,
  type Policy,
  type PolicyFile,
  requireSameFleet,
  requireTransition,
  type SignedAuthorisation,
  type SignedTicket,
} from '@keystead/core/lifecycle';
import type { WeakKeys } from '@keystead/core/x509';
import type { Isolation } from '../host/isolation.ts';
import type { KeyInfo, Keystore } from '../keystore/index.ts';
import type { Attestation, Elements } from './attestation/index.ts';
import type { CertificateAuthority, SignerOf } from './certificate-authority.ts';
import type { CheckPool } from './check-pool.ts';
import { CommissionFiles } from './commission-files.ts';
import { ConsignableUnits, type Intake } from './consigned/index.ts';
import { intakeOf } from './consigned/intake-of.ts';
import type { OpenedParts } from './context-parts.ts';
import { CrlMaker } from './crl-maker.ts';
import { requireCustody } from './custody.ts';
import { Diversification } from './diversification.ts';
import type { Provenance } from './documents.ts';
import { requireHeadquarters } from './factory/node.ts';
import { publishFactoryEvidence } from './factory-evidence.ts';
import { requireMakeable } from './firmware-keys.ts';
import type { Hierarchy } from './hierarchy.ts';
import type { Journal } from './journal.ts';
import type { KeyLedger } from './key-ledger.ts';
import type { LogSigner } from './log-signer.ts';
import { MasterKeys } from './master-keys.ts';
import type { OcspResponder } from './ocsp-responder.ts';
import type { PolicyChain, PolicyStep } from './policy-chain.ts';
import { PolicyInForce, type Standing } from './policy-in-force.ts';
import type { Result } from './protocol.ts';
import { publishFirmwareKeys } from './publish-firmware-keys.ts';
import { Queue } from './queue.ts';
import type { Requesters } from './requester.ts';
import type { RestoreJudge } from './restore-agreement.ts';
import type { CaRevocationJournalEntry } from './revocation-entries.ts';
import { type CeremonyRevocations, withRevoked } from './root-list.ts';
import type { VerifiedSignOns } from './sign-ons.ts';
import type { KeydState } from './state.ts';
import { TlsSeal } from './tls-seal.ts';
import { TsaSigner } from './tsa-signer.ts';
import { Turnstile } from './turnstile.ts';
import { UnderWay } from './under-way.ts';
import type { UnitCount } from './unit-count.ts';

/** Everything that the operations of keyd work with. */
export class KeydContext {
  readonly evidence: Signer;
  readonly diversification: Diversification;
  /** Seals serve's TLS keys. */
  readonly tlsSeal: TlsSeal;
  readonly signerOf: SignerOf;
  readonly ceremonyRevocations: CeremonyRevocations;
  readonly state: KeydState;
  readonly journal: Journal;
  /** How the journal stands to the monotonic counter. */
  readonly count: UnitCount;
  readonly ledger: KeyLedger;
  readonly masters: Result<'keys'>['masters'];
  readonly rootCrls: Result<'trust'>['rootCrls'];
  readonly log: LogSigner;
  readonly crls: CrlMaker;
  readonly commissions: CommissionFiles;
  readonly policies: PolicyChain;
  /** Who signs time stamps. */
  readonly tsa: TsaSigner;
  /** Operations go through; a change of the policy goes through alone. */
  readonly turnstile = new Turnstile();
  readonly underWay = new UnderWay();
  /** What this keyd has to tell headquarters, where it is that of a factory node. */
  readonly consignable: ConsignableUnits;
  /** Consignments are signed one at a time. */
  readonly consigning = new Queue();
  /** What factories send, at headquarters. */
  readonly intake: Intake;
  readonly startedAt: Date;
  readonly software: string;
  readonly isolation: Isolation;
  readonly weakKeys: WeakKeys;
  readonly #clock: Clock;
  readonly #keys: readonly KeyInfo[];
  readonly #keystore: Keystore;
  readonly #publishedPolicy: string;
  readonly #dir: string;
  #standing: Standing;
  #inForce: PolicyInForce;

  constructor(parts: OpenedParts) {
    const { signerOf, software, state, journal, count, log, policies, ledger, weakKeys } = parts;
    const hierarchy = withRevoked(parts.hierarchy, state.rootList);
    this.signerOf = signerOf;
    this.ceremonyRevocations = { rootCrls: parts.rootCrls, bundle: parts.lastBundle };
    this.software = software;
    this.isolation = parts.isolation;
    this.weakKeys = weakKeys;
    this.state = state;
    this.ledger = ledger;
    this.masters = parts.masters;
    this.rootCrls = parts.rootCrls;
    this.journal = journal;
    const masters = new MasterKeys(state.masters, journal);
    this.diversification = new Diversification({ keystore: parts.keystore, masters });
    this.tlsSeal = new TlsSeal({ keystore: parts.keystore, masters });
    this.count = count;
    this.consignable = new ConsignableUnits(
      (from, limit) => journal.read(from, limit),
      (requestId) => this.underWay.has(requestId),
    );
    this.intake = intakeOf(this);
    this.crls = new CrlMaker(parts.crls.dir, parts.crls.shared);
    this.commissions = new CommissionFiles(parts.dir);
    this.tsa = new TsaSigner(parts.dir, state.timestampsTold);
    this.log = log;
    this.policies = policies;
    this.#clock = parts.clock;
    this.#keys = parts.keys;
    this.#keystore = parts.keystore;
    this.#publishedPolicy = parts.publishedPolicy;
    this.#dir = parts.dir;
    this.publishFactories();
    this.startedAt = parts.clock.now();
    this.evidence = signerOf('evidence');
    this.#standing = {
      hierarchy,
      signerOf,
      state,
      journal,
      ledger,
      policies,
      logOrigin: log.origin,
      software,
      weakKeys,
    };
    requireCustody(policies.inForce.policy, this.#keys);
    this.#inForce = new PolicyInForce(policies.inForce, this.#standing);
    this.publishFirmwareKeys();
  }

  /** Tells of the keys for firmware as they are now. A factory node has none. */
  publishFirmwareKeys(): void {
    if (this.hierarchy.node !== undefined || this.policy.firmware === undefined) return;
    const { sha256 } = this.policies.inForce;
    publishFirmwareKeys([this.#dir, dirname(this.#publishedPolicy)], sha256, this.ledger);
  }

  /** For those who verify what factories signed and cannot read the journal. */
  publishFactories(): void {
    publishFactoryEvidence(this.#publishedPolicy, this.state.factories);
  }

  get policy(): Policy {
    return this.#inForce.policy;
  }
  /** What the ceremonies made; what operators have revoked of it since is among the revoked. */
  get hierarchy(): Hierarchy {
    return this.#standing.hierarchy;
  }
  /** One key of a CA. @throws KeysteadError `issuer.unknown`. */
  authority(issuer: IssuerId): CertificateAuthority {
    const authority = this.#inForce.authorities.get(issuer);
    if (authority === undefined) requireHeadquarters(this.hierarchy.node, 'issuer', issuer);
    if (authority === undefined) throw new KeysteadError('issuer.unknown', { field: 'issuer', seen: issuer });
    return authority;
  }
  /** The key that a CA issues by. */
  issuing(ca: OnlineCa): CertificateAuthority {
    for (const authority of this.#inForce.authorities.values()) {
      if (authority.role === ca && authority.current) return authority;
    }
    requireHeadquarters(this.hierarchy.node, 'issuer', `a certificate of the ${ca} CA`);
    throw new KeysteadError('issuer.unknown', { field: 'issuer', seen: ca });
  }
  /** Who answers for what one key of a CA issued. @throws KeysteadError `issuer.unknown`. */
  responder(issuer: IssuerId): OcspResponder {
    const responder = this.#inForce.responders.get(issuer);
    if (responder === undefined) throw new KeysteadError('issuer.unknown', { field: 'issuer', seen: issuer });
    return responder;
  }
  get requesters(): Requesters {
    return this.#inForce.requesters;
  }
  get provenance(): Provenance {
    return this.#inForce.provenance;
  }
  get attestation(): Attestation {
    return this.#inForce.attestation;
  }
  get signOns(): VerifiedSignOns {
    return this.#inForce.signOns;
  }
  get elements(): Elements {
    return this.#inForce.elements;
  }
  get checks(): CheckPool {
    return this.#inForce.checks;
  }

  /** The time by which to sign now. @throws KeysteadError `clock.went-back`. */
  now(): Date {
    return this.state.time.at(this.#clock.now());
  }

  /** The next whole second: from here on nothing is dated before it. @throws KeysteadError `clock.went-back`. */
  nextSecond(): Date {
    this.now();
    this.state.time.saw((Math.floor(this.#clock.now().getTime() / 1000) + 1) * 1000);
    return new Date(this.state.time.last);
  }

  /**
   * The time by which to stamp now. Journal and floor each judge the clock itself, so that what they let it go back does
   * not add up to more than a token's accuracy. @throws KeysteadError `clock.went-back`.
   */
  stampTime(): Date {
    const clock = this.#clock.now();
    const [known, floor] = [this.state.time.at(clock), this.tsa.floor.timeAt(clock)];
    return known > floor ? known : floor;
  }

  /** By what an agreement to a restore is judged. */
  get restoreJudge(): RestoreJudge {
    return {
      restores: this.state.restored,
      // While a restore is pending no other policy can be put in force: it is that of the backup.
      policy: this.policy,
      logOrigin: this.log.origin,
      append: (draft) => this.journal.append(draft),
      now: () => this.now(),
    };
  }

  /** The keys of OCSP responders that are in memory now. */
  respondersInMemory(): Result<'keys'>['responders'] {
    return [...this.#inForce.responders.values()].flatMap(({ inMemory }) => inMemory ?? []);
  }

  /** A ticket whose signature and signer are verified. @throws KeysteadError `ticket.*`. */
  ticket(text: string): SignedTicket {
    return this.#inForce.ticket(text);
  }

  /** An authorisation whose signature and signer are verified. @throws KeysteadError `authorisation.*`. */
  authorisation(text: string): SignedAuthorisation {
    return this.#inForce.authorisation(text);
  }

  /**
   * Puts another policy in force, durably and at once: what was under way ends by the old one, what comes after goes
   * by the new one.
   * @throws KeysteadError `policy.*`, `approval.*`, `clock.went-back`, `keyd.journal-failed`; the old one stays then.
   */
  changePolicy(next: PolicyFile, approvals: string, requestId: string): Promise<PolicyStep> {
    return this.turnstile.alone(async () => {
      const last = this.policies.steps.at(-1);
      // The answer to the same change was lost on the way: it is in force, and this is its answer.
      if (last !== undefined && last.file.sha256 === next.sha256) {
        this.policies.publish();
        this.publishFirmwareKeys();
        return last;
      }
      // Here and not at each start: a policy of before this rule stays one that was put in force.
      requireTransition(this.policy, next.policy);
      requireSameFleet(this.state.trust.last?.entry.fleet ?? this.policy.trust?.fleet, next.policy);
      requireCustody(next.policy, this.#keys);
      // A factory node has no keys for firmware.
      if (this.hierarchy.node === undefined) requireMakeable(this.#keystore, next.policy);
      const made = new PolicyInForce(next, this.#standing);
      const request = { at: this.now(), requestId };
      const step = await this.policies.take(next, approvals, request, (draft) => this.journal.append(draft));
      const before = this.#inForce;
      this.#inForce = made;
      this.policies.publish();
      this.publishFirmwareKeys();
      before.attestation.wipe();
      await before.checks.close();
      return step;
    });
  }

  /** Goes by the revocation of a CA whose entry is durable: at once, in one synchronous step. */
  caRevoked(entry: CaRevocationJournalEntry): void {
    this.state.rootList.revoke(entry);
    this.#standing = { ...this.#standing, hierarchy: withRevoked(this.hierarchy, this.state.rootList) };
    this.#inForce.caRevoked(entry.ca);
  }

  /** Waits for what is being written and closes the files. */
  async close(): Promise<void> {
    this.attestation.wipe();
    await this.checks.close();
    await this.log.close();
    await this.journal.close();
    await this.count.close();
  }
}
