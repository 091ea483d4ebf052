import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import type { Signer } from '@keystead/core/crypto';
import { ONLINE_CAS, type OnlineCa, type Policy, type SignedTicket, verifyTicket } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Isolation } from '../host/isolation.ts';
import { CertificateAuthority, type SignerOf } from './certificate-authority.ts';
import { CheckPool } from './check-pool.ts';
import type { Provenance } from './documents.ts';
import type { Hierarchy } from './hierarchy.ts';
import { cosignName } from './init.ts';
import { Journal } from './journal.ts';
import { LogSigner } from './log-signer.ts';
import { OcspResponder } from './ocsp-responder.ts';
import { Requesters } from './requester.ts';
import { KeydState } from './state.ts';

/** Verified tickets that are remembered, so that a batch costs one verification and not one for each unit. */
const TICKETS_REMEMBERED = 64;

export interface ContextParts {
  /** keyd's own directory: journal, leaves, checkpoint. */
  readonly dir: string;
  readonly hierarchy: Hierarchy;
  /** The very bytes of the policy's file. */
  readonly policyBytes: Uint8Array;
  readonly signerOf: SignerOf;
  readonly clock: Clock;
  /** Name and version of this program, as documents tell it. */
  readonly software: string;
  /** What stands between keyd and the rest of the machine, as of its start. */
  readonly isolation: Isolation;
}

/** Everything that the operations of keyd work with. */
export class KeydContext {
  readonly hierarchy: Hierarchy;
  readonly policy: Policy;
  readonly policyBytes: Uint8Array;
  readonly authorities: Readonly<Record<OnlineCa, CertificateAuthority>>;
  readonly responders: Readonly<Record<OnlineCa, OcspResponder>>;
  readonly requesters: Requesters;
  readonly evidence: Signer;
  readonly provenance: Provenance;
  readonly checks: CheckPool;
  readonly state: KeydState;
  readonly journal: Journal;
  readonly log: LogSigner;
  readonly startedAt: Date;
  readonly software: string;
  readonly isolation: Isolation;
  readonly #clock: Clock;
  readonly #tickets = new Map<string, SignedTicket>();

  private constructor(parts: ContextParts, state: KeydState, journal: Journal, log: LogSigner) {
    const { hierarchy, signerOf, software } = parts;
    this.hierarchy = hierarchy;
    this.policy = hierarchy.policy;
    this.policyBytes = parts.policyBytes;
    this.software = software;
    this.isolation = parts.isolation;
    this.state = state;
    this.journal = journal;
    this.log = log;
    this.#clock = parts.clock;
    this.startedAt = parts.clock.now();
    this.checks = new CheckPool(hierarchy);
    this.evidence = signerOf('evidence');
    const forEach = <T>(make: (role: OnlineCa) => T): Readonly<Record<OnlineCa, T>> =>
      Object.fromEntries(ONLINE_CAS.map((role) => [role, make(role)])) as Record<OnlineCa, T>;
    this.authorities = forEach(
      (role) => new CertificateAuthority(role, hierarchy, signerOf, { state, journal, checks: this.checks }),
    );
    this.responders = forEach((role) => new OcspResponder(this.authorities[role], this.policy));
    this.requesters = new Requesters(this.authorities, state);
    this.provenance = {
      software,
      policySha256: hierarchy.pins.policySha256,
      logOrigin: log.origin,
      evidenceSigner: hierarchy.evidenceSigner,
    };
  }

  /**
   * Opens keyd's files and makes its state again from them.
   * @throws KeysteadError `keyd.journal-damaged`, and what the log's files throw.
   */
  static async open(parts: ContextParts): Promise<KeydContext> {
    const { dir, hierarchy, signerOf } = parts;
    const { vkey, cosignVkey } = hierarchy.pins;
    const origin = vkey.slice(0, vkey.indexOf('+'));
    const state = new KeydState();
    const journal = await Journal.open(join(dir, 'journal'), (entry) => state.replay(entry));
    try {
      const log = await LogSigner.open(dir, {
        log: { name: origin, signer: signerOf('log') },
        cosigner: { name: cosignName(origin), signer: signerOf('log-cosign') },
        vkey,
        cosignVkey,
      });
      state.sawTime(log.lastTime);
      // Made at the import, before there was a journal.
      state.sawSerial('server', readCertificate(hierarchy.evidenceSigner).serial);
      return new KeydContext(parts, state, journal, log);
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  /** The time by which to sign now. @throws KeysteadError `clock.went-back`. */
  now(): Date {
    return this.state.timeAt(this.#clock.now());
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

  /** Waits for what is being written and closes the files. */
  async close(): Promise<void> {
    await this.checks.close();
    await this.log.close();
    await this.journal.close();
  }
}
