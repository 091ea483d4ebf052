import { dirname, join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type {
  CeremonyBundle,
  IssuerId,
  OnlineCa,
  Policy,
  PolicyFile,
  SignedAuthorisation,
  SignedTicket,
} from '@keystead/core/lifecycle';
import { firmwareIdOf, ROOT_CRL_KEY, requireSameFleet, requireTransition } from '@keystead/core/lifecycle';
import { readCertificate, type WeakKeys } from '@keystead/core/x509';
import { firmwareKeysPath, replaceFirmwareKeys } from '../files/firmware-keys-file.ts';
import type { Isolation } from '../host/isolation.ts';
import type { KeyInfo, Keystore, MonotonicCounter } from '../keystore/index.ts';
import type { Attestation, Elements } from './attestation/index.ts';
import type { CertificateAuthority, SignerOf } from './certificate-authority.ts';
import type { CheckPool } from './check-pool.ts';
import { CommissionFiles } from './commission-files.ts';
import { ConsignableUnits, type Intake } from './consigned/index.ts';
import { intakeOf } from './consigned/intake-of.ts';
import { CrlMaker } from './crl-maker.ts';
import { requireCustody } from './custody.ts';
import { Diversification } from './diversification.ts';
import type { Provenance } from './documents.ts';
import { requireHeadquarters } from './factory/node.ts';
import { publishFactoryEvidence } from './factory-evidence.ts';
import { openFirmwareKeys, requireMakeable } from './firmware-keys.ts';
import { type Hierarchy, lastTranscript } from './hierarchy.ts';
import { cosignName } from './init.ts';
import { Journal } from './journal.ts';
import type { CaRevocationJournalEntry, JournalEntry, PolicyJournalEntry } from './journal-entry.ts';
import { isOfKeys, KeyLedger, type KeyLedgerEntry } from './key-ledger.ts';
import { LogSigner } from './log-signer.ts';
import { MasterKeys } from './master-keys.ts';
import type { OcspResponder } from './ocsp-responder.ts';
import { PolicyChain, type PolicyStep } from './policy-chain.ts';
import { PolicyInForce, type Standing } from './policy-in-force.ts';
import type { Result } from './protocol.ts';
import { Queue } from './queue.ts';
import type { Requesters } from './requester.ts';
import { type RestoreJudge, takeBroughtStatements } from './restore-agreement.ts';
import type { CeremonyRevocations } from './root-list.ts';
import type { VerifiedSignOns } from './sign-ons.ts';
import { KeydState } from './state.ts';
import { TlsSeal } from './tls-seal.ts';
import { openTrustKeys } from './trust-keys.ts';
import { TsaSigner } from './tsa-signer.ts';
import { makeTufKeys } from './tuf-keys.ts';
import { Turnstile } from './turnstile.ts';
import { UnderWay } from './under-way.ts';
import { UnitCount } from './unit-count.ts';

export interface ContextParts {
  /** keyd's own directory: journal, leaves, checkpoint, policies. */
  readonly dir: string;
  /** Where long CRLs are fetched, and whether by the group. */
  readonly crls: { readonly dir: string; readonly shared: boolean };
  /** `trust/policy.json`. */
  readonly publishedPolicy: string;
  readonly hierarchy: Hierarchy;
  /** The policy of the ceremony with the very bytes of its file. */
  readonly founding: PolicyFile;
  /** The last CRL of each key of a root, as the ceremonies left them. */
  readonly rootCrls: Result<'trust'>['rootCrls'];
  /** The bundle of the last ceremony after the founding. */
  readonly lastBundle: CeremonyBundle | undefined;
  readonly signerOf: SignerOf;
  /** For the masters of device keys. */
  readonly keystore: Keystore;
  /** The keys that seal the keystore. */
  readonly masters: Result<'keys'>['masters'];
  /** What the journal is tied to, and the value with which it was made; undefined where the disk is all there is. */
  readonly counter?: { readonly counter: MonotonicCounter; readonly base: number };
  readonly clock: Clock;
  /** Name and version of this program, as documents tell it. */
  readonly software: string;
  /** What stands between keyd and the rest of the machine, as of its start. */
  readonly isolation: Isolation;
  /** Of the lists that the deployment has. */
  readonly weakKeys: WeakKeys;
}

/**
 * After a restore the log is never shorter than the restore left it: a checkpoint of a smaller tree would be a second
 * history. @throws KeysteadError `keyd.journal-damaged`.
 */
function requireRestoredLog(log: LogSigner, state: KeydState): void {
  if (log.size >= state.leastLogSize) return;
  throw new KeysteadError('keyd.journal-damaged', {
    field: 'leaves',
    seen: `${log.size} entries, where the restore left ${state.leastLogSize}`,
  });
}

/** @throws KeysteadError `bundle.foreign`, `keystore.key-missing`. */
function requireOwnSigner({ crlSigner }: Hierarchy, signerOf: SignerOf): void {
  if (crlSigner === undefined || sameBytes(signerOf(ROOT_CRL_KEY).spki, readCertificate(crlSigner).spki)) return;
  const seen = 'a certificate for another key than the keystore has';
  throw new KeysteadError('bundle.foreign', { field: 'crlSigner', seen });
}

/**
 * Writes down which certificates of firmware keys the ceremonies made. Where the clock went back nothing is signed either,
 * and the first order afterwards writes them.
 */
async function adoptFirmware({ hierarchy, clock }: ContextParts, state: KeydState, journal: Journal): Promise<void> {
  const { firmware, pins } = hierarchy;
  try {
    const now = state.timeAt(clock.now());
    const ceremony = lastTranscript(pins);
    await state.firmwareAdoptions.take(firmware, { ceremony, now }, (draft) => journal.append(draft));
  } catch (error) {
    if (!(error instanceof KeysteadError) || error.code !== 'clock.went-back') throw error;
  }
}

/** The hierarchy with the CAs among the revoked that operators revoked between ceremonies. */
function withRevoked(hierarchy: Hierarchy, { rootList }: KeydState): Hierarchy {
  const { pins } = hierarchy;
  const revoked = [...new Set([...pins.revoked, ...rootList.revoked.keys()])];
  return { ...hierarchy, pins: { ...pins, revoked } };
}

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

  private constructor(
    parts: ContextParts & { readonly keys: readonly KeyInfo[] },
    state: KeydState,
    journal: Journal,
    count: UnitCount,
    log: LogSigner,
    policies: PolicyChain,
    ledger: KeyLedger,
  ) {
    const { signerOf, software } = parts;
    const hierarchy = withRevoked(parts.hierarchy, state);
    this.signerOf = signerOf;
    this.ceremonyRevocations = { rootCrls: parts.rootCrls, bundle: parts.lastBundle };
    this.software = software;
    this.isolation = parts.isolation;
    this.weakKeys = parts.weakKeys;
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
      weakKeys: this.weakKeys,
    };
    requireCustody(policies.inForce.policy, this.#keys);
    this.#inForce = new PolicyInForce(policies.inForce, this.#standing);
    this.publishFirmwareKeys();
  }

  /**
   * Tells of the keys for firmware as they are now, so that trust anchors can be held against them: in keyd's own directory,
   * and in `trust/` where that may be written (under systemd it may not). Nothing old is left to go by where that can be.
   */
  publishFirmwareKeys(): void {
    if (this.hierarchy.node !== undefined || this.policy.firmware === undefined) return;
    const keys = this.ledger.list().flatMap(({ info, spkiSha256, changes }) => {
      const id = firmwareIdOf(info.id);
      const compromised = changes.some(({ change }) => change === 'compromise');
      return id === undefined ? [] : [{ id, spkiSha256, compromised }];
    });
    const told = { policySha256: this.policies.inForce.sha256, keys };
    for (const dir of [this.#dir, dirname(this.#publishedPolicy)]) replaceFirmwareKeys(firmwareKeysPath(dir), told);
  }

  /** For those who verify what factories signed and cannot read the journal. */
  publishFactories(): void {
    publishFactoryEvidence(this.#publishedPolicy, this.state.factories);
  }

  /**
   * Opens keyd's files and makes its state again from them.
   * @throws KeysteadError `keyd.journal-damaged`, `policy.chain-broken`, `policy.custody-unmet`, and what the log's
   *   files throw.
   */
  static async open(parts: ContextParts): Promise<KeydContext> {
    const { dir, founding, signerOf } = parts;
    const { vkey, cosignVkey } = parts.hierarchy.pins;
    const origin = vkey.slice(0, vkey.indexOf('+'));
    const state = new KeydState();
    state.injections.within(dir);
    const changes: PolicyJournalEntry[] = [];
    const orders: KeyLedgerEntry[] = [];
    const count = new UnitCount(parts.counter?.counter, parts.counter?.base);
    const replay = (entry: JournalEntry): void => {
      state.replay(entry);
      count.replay(entry);
      if (entry.kind === 'policy') changes.push(entry);
      if (isOfKeys(entry)) orders.push(entry);
    };
    const journal = await Journal.open(join(dir, 'journal'), replay, count);
    try {
      await count.start();
      const policies = PolicyChain.open({ dir, published: parts.publishedPolicy }, founding, changes);
      const { keystore, clock } = parts;
      // Before anything is made or signed on a state that was restored.
      await takeBroughtStatements(dir, {
        restores: state.restored,
        policy: policies.inForce.policy,
        logOrigin: origin,
        append: (draft) => journal.append(draft),
        now: () => state.timeAt(clock.now()),
      });
      const { policy } = policies.inForce;
      // Whoever restored it alone makes, uses and ends no key of it: what is left to do is done at the first open start.
      const closed = state.restored.pending !== undefined;
      if (!closed) await state.destroyed.finish(keystore);
      // At a factory node there is none: it signs no firmware.
      const certified = parts.hierarchy.firmware;
      const wasProduction = (spki: string): boolean => state.firmwareAdoptions.hasKey(spki);
      const firmware =
        parts.hierarchy.node === undefined
          ? await openFirmwareKeys(dir, keystore, policy, certified, wasProduction, clock.now(), closed)
          : certified;
      if (parts.hierarchy.node === undefined && !closed) {
        await adoptFirmware(parts, state, journal);
        await makeTufKeys(keystore, policy);
        await openTrustKeys(keystore, policy.trust?.keys ?? []);
      }
      const hierarchy = { ...parts.hierarchy, firmware };
      const keys = keystore.list();
      const ledger = new KeyLedger(hierarchy, keys, () => policies.inForce.policy, orders);
      const log = await LogSigner.open(dir, {
        log: { name: origin, signer: signerOf('log') },
        cosigner: { name: cosignName(origin), signer: signerOf('log-cosign') },
        vkey,
        cosignVkey,
      });
      state.sawTime(log.lastTime);
      requireRestoredLog(log, state);
      requireOwnSigner(hierarchy, signerOf);
      // Made at an import, which writes no journal; that of a factory node is by headquarters.
      const issuing = hierarchy.issuers.find(({ ca, current }) => ca === 'server' && current);
      if (hierarchy.node === undefined) {
        state.sawSerial(issuing?.id ?? 'server', readCertificate(hierarchy.evidenceSigner).serial);
      }
      for (const { issuer, certificate } of hierarchy.formerEvidence) {
        state.sawSerial(issuer, readCertificate(certificate).serial);
      }
      return new KeydContext({ ...parts, hierarchy, keys }, state, journal, count, log, policies, ledger);
    } catch (error) {
      await journal.close();
      throw error;
    }
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
    return this.state.timeAt(this.#clock.now());
  }

  /** The next whole second: from here on nothing is dated before it. @throws KeysteadError `clock.went-back`. */
  nextSecond(): Date {
    this.now();
    this.state.sawTime((Math.floor(this.#clock.now().getTime() / 1000) + 1) * 1000);
    return new Date(this.state.lastTime);
  }

  /**
   * The time by which to stamp now. Journal and floor each judge the clock itself, so that what they let it go back does
   * not add up to more than a token's accuracy. @throws KeysteadError `clock.went-back`.
   */
  stampTime(): Date {
    const clock = this.#clock.now();
    const [known, floor] = [this.state.timeAt(clock), this.tsa.floor.timeAt(clock)];
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
    this.#standing = { ...this.#standing, hierarchy: withRevoked(this.hierarchy, this.state) };
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
