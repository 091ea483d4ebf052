import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import type { Signer } from '@keystead/core/crypto';
import type { OnlineCa, Policy, PolicyFile, SignedTicket } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { CertificateAuthority, SignerOf } from './certificate-authority.ts';
import type { CheckPool } from './check-pool.ts';
import { requireCustody } from './custody.ts';
import type { Provenance } from './documents.ts';
import type { Hierarchy } from './hierarchy.ts';
import { cosignName } from './init.ts';
import { Journal } from './journal.ts';
import type { PolicyJournalEntry } from './journal-entry.ts';
import { LogSigner } from './log-signer.ts';
import type { OcspResponder } from './ocsp-responder.ts';
import { PolicyChain, type PolicyStep } from './policy-chain.ts';
import { PolicyInForce, type Standing } from './policy-in-force.ts';
import type { Requesters } from './requester.ts';
import { KeydState } from './state.ts';
import { Turnstile } from './turnstile.ts';

export interface ContextParts {
  /** keyd's own directory: journal, leaves, checkpoint, policies. */
  readonly dir: string;
  /** `trust/policy.json`. */
  readonly publishedPolicy: string;
  readonly hierarchy: Hierarchy;
  /** The policy of the ceremony with the very bytes of its file. */
  readonly founding: PolicyFile;
  readonly signerOf: SignerOf;
  /** The keys that keyd holds: where each lives. */
  readonly keys: Parameters<typeof requireCustody>[1];
  readonly clock: Clock;
  /** Name and version of this program, as documents tell it. */
  readonly software: string;
}

/** Everything that the operations of keyd work with. */
export class KeydContext {
  readonly hierarchy: Hierarchy;
  readonly evidence: Signer;
  /** From when on the evidence key signs. */
  readonly evidenceSince: Date;
  readonly state: KeydState;
  readonly journal: Journal;
  readonly log: LogSigner;
  readonly policies: PolicyChain;
  /** Operations go through; a change of the policy goes through alone. */
  readonly turnstile = new Turnstile();
  readonly startedAt: Date;
  readonly software: string;
  readonly #clock: Clock;
  readonly #keys: ContextParts['keys'];
  readonly #standing: Standing;
  #inForce: PolicyInForce;

  private constructor(parts: ContextParts, state: KeydState, journal: Journal, log: LogSigner, policies: PolicyChain) {
    const { hierarchy, signerOf, software } = parts;
    this.hierarchy = hierarchy;
    this.software = software;
    this.state = state;
    this.journal = journal;
    this.log = log;
    this.policies = policies;
    this.#clock = parts.clock;
    this.#keys = parts.keys;
    this.startedAt = parts.clock.now();
    this.evidence = signerOf('evidence');
    this.evidenceSince = readCertificate(hierarchy.evidenceSigner).notBefore;
    this.#standing = { hierarchy, signerOf, state, journal, logOrigin: log.origin, software };
    requireCustody(policies.inForce.policy, this.#keys);
    this.#inForce = new PolicyInForce(policies.inForce, this.#standing);
  }

  /**
   * Opens keyd's files and makes its state again from them.
   * @throws KeysteadError `keyd.journal-damaged`, `policy.chain-broken`, `policy.custody-unmet`, and what the log's
   *   files throw.
   */
  static async open(parts: ContextParts): Promise<KeydContext> {
    const { dir, hierarchy, founding, signerOf } = parts;
    const { vkey, cosignVkey } = hierarchy.pins;
    const origin = vkey.slice(0, vkey.indexOf('+'));
    const state = new KeydState();
    const changes: PolicyJournalEntry[] = [];
    const journal = await Journal.open(join(dir, 'journal'), (entry) => {
      state.replay(entry);
      if (entry.kind === 'policy') changes.push(entry);
    });
    try {
      const policies = PolicyChain.open({ dir, published: parts.publishedPolicy }, founding, changes);
      const log = await LogSigner.open(dir, {
        log: { name: origin, signer: signerOf('log') },
        cosigner: { name: cosignName(origin), signer: signerOf('log-cosign') },
        vkey,
        cosignVkey,
      });
      state.sawTime(log.lastTime);
      return new KeydContext(parts, state, journal, log, policies);
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  get policy(): Policy {
    return this.#inForce.policy;
  }
  get authorities(): Readonly<Record<OnlineCa, CertificateAuthority>> {
    return this.#inForce.authorities;
  }
  get responders(): Readonly<Record<OnlineCa, OcspResponder>> {
    return this.#inForce.responders;
  }
  get requesters(): Requesters {
    return this.#inForce.requesters;
  }
  get provenance(): Provenance {
    return this.#inForce.provenance;
  }
  get checks(): CheckPool {
    return this.#inForce.checks;
  }

  /** The time by which to sign now. @throws KeysteadError `clock.went-back`. */
  now(): Date {
    return this.state.timeAt(this.#clock.now());
  }

  /** A ticket whose signature and signer are verified. @throws KeysteadError `ticket.*`. */
  ticket(text: string): SignedTicket {
    return this.#inForce.ticket(text);
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
        return last;
      }
      requireCustody(next.policy, this.#keys);
      const made = new PolicyInForce(next, this.#standing);
      const request = { at: this.now(), requestId };
      const step = await this.policies.take(next, approvals, request, (draft) => this.journal.append(draft));
      const before = this.#inForce;
      this.#inForce = made;
      this.policies.publish();
      await before.checks.close();
      return step;
    });
  }

  /** Waits for what is being written and closes the files. */
  async close(): Promise<void> {
    await this.checks.close();
    await this.log.close();
    await this.journal.close();
  }
}
