import {
  checkFactoryPolicy,
  factoryPolicy,
  type IssuerId,
  type Policy,
  type PolicyFile,
  type SignedAuthorisation,
  type SignedTicket,
  verifyAuthorisation,
  verifyTicket,
} from '@keystead/core/lifecycle';
import type { WeakKeys } from '@keystead/core/x509';
import { Attestation, Elements } from './attestation/index.ts';
import { CertificateAuthority, type SignerOf } from './certificate-authority.ts';
import { CheckPool } from './check-pool.ts';
import type { Provenance } from './documents.ts';
import { operatorsOf } from './factory/operators.ts';
import type { Hierarchy } from './hierarchy.ts';
import type { Journal } from './journal.ts';
import type { KeyLedger } from './key-ledger.ts';
import { OcspResponder } from './ocsp-responder.ts';
import type { PolicyChain } from './policy-chain.ts';
import { Requesters } from './requester.ts';
import { VerifiedSignOns } from './sign-ons.ts';
import type { KeydState } from './state.ts';

/** Verified tickets that are remembered, so that a batch costs one verification and not one for each unit. */
const TICKETS_REMEMBERED = 64;
/** The same for authorisations: each of a fleet of gateways may have its own. */
const AUTHORISATIONS_REMEMBERED = 1024;

/** What stays when the policy changes. */
export interface Standing {
  readonly hierarchy: Hierarchy;
  readonly signerOf: SignerOf;
  readonly state: KeydState;
  readonly journal: Journal;
  readonly ledger: KeyLedger;
  /** All that there have been. */
  readonly policies: PolicyChain;
  readonly logOrigin: string;
  readonly software: string;
  /** RSA keys that nobody is certified for, whatever the policy. */
  readonly weakKeys: WeakKeys;
}

/** Everything in keyd that is made from the policy, so that another policy is another one of these and nothing else. */
export class PolicyInForce {
  readonly file: PolicyFile;
  /** That of the file; at a factory node with the factory in the subject of what it issues. */
  readonly policy: Policy;
  /** Every key of the CAs. */
  readonly authorities: ReadonlyMap<IssuerId, CertificateAuthority>;
  readonly responders: ReadonlyMap<IssuerId, OcspResponder>;
  readonly requesters: Requesters;
  readonly provenance: Provenance;
  readonly checks: CheckPool;
  /** Challenges are made by one policy and end with it. */
  readonly attestation: Attestation;
  /** Sign-ons at stations, verified by this policy. */
  readonly signOns: VerifiedSignOns;
  readonly elements: Elements;
  /** CAs that were revoked while this policy was in force. */
  readonly #revoked = new Set<IssuerId>();
  readonly #tickets = new Map<string, SignedTicket>();
  readonly #authorisations = new Map<string, SignedAuthorisation>();

  constructor(file: PolicyFile, standing: Standing) {
    const { signerOf, state, journal, ledger, policies, logOrigin, software, weakKeys } = standing;
    const { node } = standing.hierarchy;
    if (node !== undefined) checkFactoryPolicy(file.policy);
    this.policy = node === undefined ? file.policy : factoryPolicy(file.policy, node.name);
    const hierarchy: Hierarchy = { ...standing.hierarchy, policy: this.policy };
    this.file = file;
    this.checks = new CheckPool({ policy: hierarchy.policy, issuers: hierarchy.issuers, weakKeys });
    const parts = { state, journal, ledger, checks: this.checks, policies };
    const authorities = hierarchy.issuers.map((issuer) => new CertificateAuthority(issuer, hierarchy, signerOf, parts));
    this.authorities = new Map(authorities.map((authority) => [authority.id, authority]));
    this.responders = new Map(
      authorities.map((authority) => [authority.id, new OcspResponder(authority, this.policy)]),
    );
    this.signOns = new VerifiedSignOns(file.policy);
    this.attestation = new Attestation(file.policy.attestation);
    this.elements = new Elements(file.policy.attestation?.secureElements);
    const { revoked } = hierarchy.pins;
    const vouches = (issuer: IssuerId) =>
      !revoked.includes(issuer) && !this.#revoked.has(issuer) && !ledger.isCompromised(issuer);
    this.requesters = new Requesters(authorities, state, vouches, node && operatorsOf(node));
    this.provenance = {
      software,
      policySha256: file.sha256,
      logOrigin,
      evidenceSigner: hierarchy.evidenceSigner,
    };
  }

  /** The CA issues nothing from here on, and what it issued proves nobody. */
  caRevoked(issuer: IssuerId): void {
    this.#revoked.add(issuer);
    this.authorities.get(issuer)?.revoke();
  }

  /** A ticket whose signature and signer are verified. @throws KeysteadError `ticket.*`. */
  ticket(text: string): SignedTicket {
    const known = this.#tickets.get(text);
    if (known !== undefined) return known;
    const verified = verifyTicket(text, this.policy);
    if (this.#tickets.size >= TICKETS_REMEMBERED) this.#tickets.clear();
    this.#tickets.set(text, verified);
    return verified;
  }
  /** An authorisation whose signature and signer are verified. @throws KeysteadError `authorisation.*`. */
  authorisation(text: string): SignedAuthorisation {
    const known = this.#authorisations.get(text);
    if (known !== undefined) return known;
    const verified = verifyAuthorisation(text, this.policy);
    if (this.#authorisations.size >= AUTHORISATIONS_REMEMBERED) this.#authorisations.clear();
    this.#authorisations.set(text, verified);
    return verified;
  }
}
