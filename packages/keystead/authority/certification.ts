import type { Serial } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type ParsedCsr,
  parseRequest,
  type RequestFormat,
  requestSha256,
  verifyProofOfPossession,
} from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Reader, Tx } from '../store/index.ts';
import type { AuthorityDeps, Signing } from './deps.ts';
import { type CertificateRecords, type Issued, issuedOf, ownIssuer, type Signed, type Subject } from './issued.ts';
import { type KeyClaim, KeyTaken, keyVerdict } from './key-claims.ts';
import type { StatusListener } from './status.ts';
import { requireClock } from './time.ts';

/** One certificate that somebody may have, and what must be true for it. */
export interface Order {
  readonly what: string;
  readonly csr: Uint8Array;
  readonly format?: RequestFormat;
  readonly profile: string;
  readonly owner: string;
  readonly subject: Subject;
  readonly actor: AuditEvent['actor'];
  /** Who is refused, when it is not the one in whose name a success would be. */
  readonly asker?: AuditEvent['actor'];
  readonly requestId: string;
  readonly requester: Parameters<Signing['issue']>[0]['requester'];
  readonly hosts?: string[];
  /** Whether the owner has one key for good, which the policy names, and so the next certificate is for it again. */
  readonly keepsKey?: boolean;
  /** Whether the owner asks for the next certificate over a key that it keeps, before the one that is in force ends. */
  readonly renews?: boolean;
  /** What must be true, and still be true when the certificate is recorded. @throws KeysteadError */
  allowed(records: Reader, claim: KeyClaim): void;
  /** What else is recorded with the certificate, in the same transaction. */
  alongside?(tx: Tx, certificate: Certificate): void;
}

type Found = { readonly earlier: Omit<Issued, 'repeated'> } | { readonly follows?: Serial };

/** What becomes of a signature when it is to be recorded. */
type Recorded =
  | { readonly certificate: Certificate & { issuer: Issued['issuer'] } }
  | { readonly refused: KeysteadError };

/**
 * From a request to a recorded certificate. The order is what makes a crash at any point repairable: keyd writes
 * its journal before it gives a signature out, the records are durable before the certificate leaves, and what lies
 * between the two is found by reconciliation.
 */
export class Certification {
  readonly #deps: AuthorityDeps;
  readonly #records: CertificateRecords;
  readonly #changed: StatusListener;

  /** @param changed called after the COMMIT of every change of status, before the answer. */
  constructor(deps: AuthorityDeps, records: CertificateRecords, changed: StatusListener) {
    this.#deps = deps;
    this.#records = records;
    this.#changed = changed;
  }

  /**
   * Signs and records what an order asks for.
   * @throws KeysteadError `key.already-used`, `csr.*`, `key.*`, what the order does not allow and what keyd refuses, each
   *   audited; `store.*`, `keyd.unreachable`, `clock.went-back`.
   */
  async certify(order: Order): Promise<Issued> {
    const { what, actor, asker = actor, requestId, csr, format } = order;
    try {
      const request = parseRequest(csr, format);
      const csrSha256 = requestSha256(request);
      const key = spkiSha256(request.spki);
      const claim = { spkiSha256: key, owner: order.owner, profile: order.profile, csrSha256, requestId };
      const found = this.#deps.store.read((records) => {
        requireClock(this.#deps);
        return this.#lookUp(records, order, claim, request);
      });
      if ('earlier' in found) return { ...found.earlier, repeated: true };
      const { value, shared } = await this.#deps.claims.share(claim, () =>
        this.#signAndRecord(order, { ...claim, ...found }),
      );
      return { ...value, repeated: shared };
    } catch (error) {
      await this.#auditRefusal(error, { what, actor: asker, requestId, owner: order.owner });
      throw error;
    }
  }

  /** The certificate that this request already got, or that one may be signed, and which it follows. */
  #lookUp(records: Reader, order: Order, claim: KeyClaim, request: ParsedCsr): Found {
    order.allowed(records, claim);
    const verdict = keyVerdict(records, claim);
    if (verdict.kind === 'free') return {};
    if (verdict.kind === 'certified') {
      const { issuer, serial } = verdict.use;
      const earlier = issuer === null || serial === null ? undefined : records.certificate(issuer, serial);
      // What a CA made that the root has revoked since is of no use to anybody.
      const believed = this.#deps.issuers.find(({ id }) => id === issuer)?.revoked !== true;
      if (order.renews === true && earlier?.status === 'good') {
        verifyProofOfPossession(request);
        return { follows: earlier.serial };
      }
      if (earlier !== undefined && believed && this.#repeats(earlier, claim))
        return { earlier: issuedOf(earlier, ownIssuer(earlier)) };
      if (order.keepsKey === true && earlier?.status === 'good') {
        verifyProofOfPossession(request);
        if (!believed || this.#deps.clock.now().getTime() > earlier.notAfter) return { follows: earlier.serial };
        return { earlier: issuedOf(earlier, ownIssuer(earlier)) };
      }
    }
    // Only a holder of the key is reported as the second one: a public key alone can be copied by anybody.
    verifyProofOfPossession(request);
    throw new KeyTaken(verdict.kind === 'taken' ? verdict.owner : claim.owner);
  }

  #repeats(earlier: Certificate, claim: KeyClaim): boolean {
    const now = this.#deps.clock.now().getTime();
    const same = earlier.csrSha256 === claim.csrSha256 && earlier.profile === claim.profile;
    return same && earlier.status === 'good' && now <= earlier.notAfter;
  }

  async #signAndRecord(order: Order, claim: KeyClaim): Promise<Omit<Issued, 'repeated'>> {
    const { profile, csr, format, requester, hosts, requestId } = order;
    const signed = await this.#deps.keyd.issue({ profile, csr, format, requester, hosts, requestId });
    const recorded = await this.#deps.store.commit((tx) => this.#recordOrAbandon(tx, order, claim, signed));
    this.#changed(signed.issuer, signed.serial);
    if ('refused' in recorded) throw recorded.refused;
    return issuedOf(recorded.certificate, recorded.certificate.issuer);
  }

  /** Between keyd's signature and now the device may have been blocked: then the signature is given to nobody. */
  #recordOrAbandon(tx: Tx, order: Order, claim: KeyClaim, signed: Signed): Recorded {
    const now = this.#deps.clock.now();
    const { subject, actor } = order;
    try {
      order.allowed(tx, claim);
      const { certificate } = this.#records.record(tx, { claim, signed, subject, actor, now });
      order.alongside?.(tx, certificate);
      return { certificate };
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      const about = { claim, signed, subject: order.owner, why: error.code, signedAt: now, now };
      this.#records.abandon(tx, about);
      return { refused: error };
    }
  }

  async #auditRefusal(
    error: unknown,
    v: { what: string; actor: AuditEvent['actor']; requestId: string; owner: string },
  ): Promise<void> {
    if (!(error instanceof KeysteadError) || error.kind === 'unavailable') return;
    const { what, actor, requestId, owner } = v;
    const detail = error instanceof KeyTaken ? { owner: error.owner } : undefined;
    await this.#deps.refusals.refused({ what, error, actor, requestId, subject: { for: owner }, detail });
  }
}
