import type { DerCertificate, SpkiSha256 } from '@keystead/core/bytes';
import { generateSoftwareKey, type Signer, softwareSigner, spkiSha256 } from '@keystead/core/crypto';
import { type IssuerId, ocspResponderProfile, type Policy } from '@keystead/core/lifecycle';
import { responderKeyHash } from '@keystead/core/x509';
import type { CertificateAuthority } from './certificate-authority.ts';

/** A delegated responder key with its certificate (RFC 6960 section 4.2.2.2). */
export interface Responder {
  readonly signer: Signer;
  readonly certificate: DerCertificate;
  /** SHA-1 of the key: the responder's name in its answers. */
  readonly keyHash: Uint8Array;
}

interface Held extends Responder {
  readonly madeAt: number;
  /** Milliseconds since 1970: from when on a successor is made, and from when on this one signs no more. */
  readonly renewAt: number;
  readonly useUntil: number;
}

/** A successor is made when this part of the time of use is over, so that no answer ever waits for it. */
const RENEW_AT = 0.75;

/**
 * The responder of one CA. Its key is made here, lives in memory only and is replaced ahead of its end: so the CA's
 * own key never signs an answer, and an answer that is worth an attack is signed by a key that ends within the day.
 * REQ-KEY-REV-02
 */
export class OcspResponder {
  readonly #authority: CertificateAuthority;
  readonly #policy: Policy;
  #held: Held | undefined;
  #making: Promise<Held> | undefined;

  constructor(authority: CertificateAuthority, policy: Policy) {
    this.#authority = authority;
    this.#policy = policy;
  }

  /**
   * The responder that signs at `now`, whose certificate outlives every answer of that moment.
   * @throws KeysteadError as `CertificateAuthority.issue` does.
   */
  async at(now: Date): Promise<Responder> {
    const held = this.#held;
    const ms = now.getTime();
    if (held === undefined || ms >= held.useUntil) return this.#renew(now);
    // A failure is told by the next call that has no other choice.
    if (ms >= held.renewAt) this.#renew(now).catch(() => {});
    return held;
  }

  /** The key that is in memory, or undefined before the first answer. */
  get inMemory(): { issuer: IssuerId; spkiSha256: SpkiSha256; createdAt: Date; useUntil: Date } | undefined {
    const held = this.#held;
    if (held === undefined) return undefined;
    const { signer, madeAt, useUntil } = held;
    const issuer = this.#authority.id;
    return { issuer, spkiSha256: spkiSha256(signer.spki), createdAt: new Date(madeAt), useUntil: new Date(useUntil) };
  }

  #renew(now: Date): Promise<Held> {
    this.#making ??= this.#make(now).finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  async #make(now: Date): Promise<Held> {
    const profile = ocspResponderProfile(this.#policy, this.#authority.role);
    const key = generateSoftwareKey('P-256');
    const signer = softwareSigner('P-256', key.pkcs8);
    key.pkcs8.wipe();
    const { certificate, notAfter } = await this.#authority.issue({
      profile,
      named: {},
      spki: key.spki,
      now,
      subject: `ocsp-responder ${this.#authority.id}`,
      requestId: 'keyd',
    });
    const { ocspResponderSeconds, ocspSeconds } = this.#policy.revocation;
    const end = Math.min(now.getTime() + ocspResponderSeconds * 1000, notAfter.getTime() - ocspSeconds * 1000);
    const held: Held = {
      signer,
      certificate,
      keyHash: responderKeyHash(certificate),
      madeAt: now.getTime(),
      renewAt: now.getTime() + (end - now.getTime()) * RENEW_AT,
      useUntil: end,
    };
    this.#held = held;
    return held;
  }
}
