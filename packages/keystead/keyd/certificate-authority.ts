import { type DerCertificate, type DerSpki, type Serial, type SpkiSha256, sameBytes } from '@keystead/core/bytes';
import { type Signer, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerId,
  issuerKeyId,
  type OnlineCa,
  type Policy,
  type Shard,
  shardIndex,
} from '@keystead/core/lifecycle';
import {
  type CertificateInfo,
  CertificateTemplate,
  type CertificateValues,
  type Named,
  NO_END,
  namesFor,
  newSerial,
  OcspIssuer,
  type Profile,
  readCertificate,
} from '@keystead/core/x509';
import { type Begun, earliestBegin } from './certificate-begins.ts';
import type { CheckPool } from './check-pool.ts';
import { urlsIn } from './factory/urls.ts';
import type { Hierarchy, Issuer } from './hierarchy.ts';
import type { Journal } from './journal.ts';
import type { CertificateJournalEntry } from './journal-entry.ts';
import type { KeyLedger } from './key-ledger.ts';
import type { KeydState } from './state.ts';

/** Gives the signer of a key of the keystore; keyd's other parts never see the keystore itself. */
export type SignerOf = (id: string) => Signer;

export interface IssuedCertificate {
  readonly certificate: DerCertificate;
  readonly issuer: IssuerId;
  readonly spkiSha256: SpkiSha256;
  readonly serial: Serial;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** One certificate that every check has allowed. */
export interface CertificateOrder {
  readonly profile: Profile;
  readonly named: Named;
  readonly spki: DerSpki;
  readonly now: Date;
  /** As the journal names whom the certificate is for. */
  readonly subject: string;
  readonly requestId: string;
  readonly ticket?: CertificateJournalEntry['ticket'];
  readonly authorisation?: CertificateJournalEntry['authorisation'];
  /** Where the key was made, when not by whoever holds it. */
  readonly keyOrigin?: CertificateJournalEntry['keyOrigin'];
  readonly chips?: CertificateJournalEntry['chips'];
}

/** What all authorities of one keyd share. */
export interface AuthorityParts {
  readonly state: KeydState;
  readonly journal: Journal;
  readonly ledger: KeyLedger;
  readonly checks: CheckPool;
  readonly policies: Begun['policies'];
}

/** One key of an online CA: its certificate, the key behind a signer, its templates. */
export class CertificateAuthority {
  /** The name under which journal, records and addresses know this key. */
  readonly id: IssuerId;
  readonly role: OnlineCa;
  /** Whether the CA issues by this key; if not, it answers for what it issued. */
  readonly current: boolean;
  readonly certificate: DerCertificate;
  readonly info: CertificateInfo;
  readonly ocsp: OcspIssuer;
  readonly signer: Signer;
  readonly #policy: Policy;
  readonly #hierarchy: Hierarchy;
  #revoked: boolean;
  readonly #state: KeydState;
  readonly #journal: Journal;
  readonly #ledger: KeyLedger;
  readonly #checks: CheckPool;
  readonly #policies: Begun['policies'];
  readonly #templates = new Map<string, CertificateTemplate>();

  constructor(issuer: Issuer, hierarchy: Hierarchy, signerOf: SignerOf, parts: AuthorityParts) {
    this.id = issuer.id;
    this.role = issuer.ca;
    this.current = issuer.current;
    this.certificate = issuer.certificate;
    this.info = readCertificate(this.certificate);
    this.ocsp = new OcspIssuer(this.info);
    this.signer = signerOf(issuerKeyId(issuer.id));
    this.#policy = hierarchy.policy;
    this.#hierarchy = hierarchy;
    this.#revoked = hierarchy.pins.revoked.includes(issuer.id);
    this.#state = parts.state;
    this.#journal = parts.journal;
    this.#ledger = parts.ledger;
    this.#checks = parts.checks;
    this.#policies = parts.policies;
    if (!sameBytes(this.signer.spki, this.info.spki)) {
      throw new KeysteadError('bundle.foreign', {
        field: issuer.id,
        seen: 'a certificate for another key than the keystore has',
      });
    }
  }

  /**
   * Signs one certificate: lint of the values, journal (durable before there is a signature), signature, and the
   * check of the signature and of the whole by another reader (OpenSSL). REQ-KEY-STO-03, REQ-KEY-AUD-01
   * @throws KeysteadError `ca.revoked`, `ca.superseded`, `key.use-forbidden`, `key.cryptoperiod-ended`, `certificate.lint-failed`, `name.malformed`,
   *   `keyd.journal-failed`, `keyd.signature-faulty`.
   */
  async issue(order: CertificateOrder): Promise<IssuedCertificate> {
    return this.prepare(order)();
  }

  /**
   * Everything that can be refused without a step on the disk, in one turn: what was prepared is then either carried out
   * or dropped, and who takes something for it (a unit of a ticket) takes it in between.
   * @returns what carries it out. @throws KeysteadError as {@link issue} does.
   */
  prepare(order: CertificateOrder): () => Promise<IssuedCertificate> {
    this.#requireKey(order);
    const values = this.#values(order);
    const { serial, notBefore } = values;
    const shard = this.#shardOf(order.profile, serial);
    const tbs = this.#template(order.profile, shard).tbs(values);
    const notAfter = values.notAfter === 'none' ? NO_END : values.notAfter;
    const spki = spkiSha256(order.spki);
    const entry = {
      time: order.now.toISOString(),
      kind: 'certificate',
      serial,
      issuer: this.id,
      profile: order.profile.id,
      subject: order.subject,
      spkiSha256: spki,
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      requestId: order.requestId,
      shards: shard?.of,
      ticket: order.ticket,
      authorisation: order.authorisation,
      keyOrigin: order.keyOrigin,
      chips: order.chips,
    } as const;
    return () => this.#carryOut(order, values, tbs, { entry, notAfter });
  }

  async #carryOut(
    order: CertificateOrder,
    values: CertificateValues,
    tbs: Uint8Array,
    { entry, notAfter }: { readonly entry: Omit<CertificateJournalEntry, 'n'>; readonly notAfter: Date },
  ): Promise<IssuedCertificate> {
    const { serial, notBefore } = values;
    await this.#journal.append(entry);
    this.#state.takeCertificate(entry);
    // An order that came while the journal was written holds too: the entry then tells of no certificate.
    this.#requireKey(order);
    const { signatureAlgorithm } = this.signer;
    const signature = await this.signer.sign(tbs);
    const issuer = this.id;
    const certificate = await this.#checks.signed({ tbs, signature, algorithm: signatureAlgorithm, values, issuer });
    return { certificate, issuer, spkiSha256: spkiSha256(order.spki), serial, notBefore, notAfter };
  }

  /** Its root has revoked it, or a quorum of operators has: it answers for what it issued and issues nothing. */
  revoke(): void {
    this.#revoked = true;
  }

  /** To certify an OCSP responder is to answer for what was issued, and goes on after this CA may issue no more. */
  #requireKey({ profile, now }: CertificateOrder): void {
    const use = profile.extKeyUsage.includes('OCSPSigning') ? 'process' : 'protect';
    if (use === 'protect' && this.#revoked) throw new KeysteadError('ca.revoked', { field: 'issuer', seen: this.id });
    if (use === 'protect' && !this.current) {
      throw new KeysteadError('ca.superseded', { field: 'issuer', seen: this.id });
    }
    this.#ledger.require(issuerKeyId(this.id), use, now);
  }

  /** Times come from the policies alone; a certificate never outlives its issuer. */
  #values({ profile, named, spki, now }: CertificateOrder): CertificateValues {
    const issuedAt = Math.floor(now.getTime() / 1000) * 1000;
    const { seconds, backdateSeconds } = profile.validity;
    const { subject, san } = namesFor(profile, named);
    const earliest = earliestBegin({ policies: this.#policies, state: this.#state }, profile.id);
    const notAfter =
      seconds === 'none' ? seconds : new Date(Math.min(issuedAt + seconds * 1000, this.info.notAfter.getTime()));
    return {
      serial: newSerial(),
      notBefore: new Date(Math.max(issuedAt - backdateSeconds * 1000, earliest)),
      notAfter,
      subject,
      san,
      spki,
      signatureAlgorithm: this.signer.signatureAlgorithm,
    };
  }

  /** The partition of the CRLs in which a relying party looks for this certificate; undefined for the list of all. */
  #shardOf(profile: Profile, serial: Serial): Shard | undefined {
    // What a factory node issues is on lists of headquarters, which are in no partitions.
    const of = this.#hierarchy.node === undefined ? (this.#policy.revocation.lists?.shards ?? 1) : 1;
    return of === 1 || profile.ocspNoCheck ? undefined : { index: shardIndex(serial, of), of };
  }

  #template(profile: Profile, shard: Shard | undefined): CertificateTemplate {
    const id = `${profile.id} ${profile.subject.organizationalUnit ?? ''} ${shard?.index ?? ''}`;
    // A sub-CA of a factory is certified once in a while, each with names and a life of its own.
    const kept = profile.ca === false;
    const known = kept ? this.#templates.get(id) : undefined;
    if (known !== undefined) return known;
    const urls = profile.ocspNoCheck ? {} : urlsIn(this.#hierarchy, this.#policy, this.id, shard);
    const made = new CertificateTemplate(profile, { certificate: this.certificate }, urls);
    if (kept) this.#templates.set(id, made);
    return made;
  }
}
