import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { DIGEST_OF, type SignatureAlgorithm } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type IssuerId, type Policy, profileOf } from '@keystead/core/lifecycle';
import {
  assembleSigned,
  type CertificateValues,
  checkPublicKey,
  checkRequest,
  type Named,
  parseRequest,
  type RequestFormat,
  rereadIssued,
  verifyProofOfPossession,
  type WeakKeys,
} from '@keystead/core/x509';

/** A certification request to check before anything is decided on it. */
export interface RequestCheck {
  readonly kind: 'request';
  readonly csr: Uint8Array;
  /** PKCS#10 unless it says otherwise. */
  readonly format?: RequestFormat;
  /** Its id. */
  readonly profile: string;
  readonly named: Named;
}

/** A signature to check before it leaves. */
export interface SignedCheck {
  readonly kind: 'signed';
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly values: CertificateValues;
  readonly issuer: IssuerId;
}

export type Check = RequestCheck | SignedCheck;

/** What stays the same for the life of keyd. */
export interface CheckFacts {
  readonly policy: Policy;
  readonly issuers: readonly { readonly id: IssuerId; readonly certificate: DerCertificate }[];
  /** Of the lists that the deployment has. */
  readonly weakKeys?: WeakKeys;
}

/**
 * The checks around a signature that need no key and no state, and cost the most: functions of what they are given, so
 * that it makes no difference on which thread they run.
 */
export class Checks {
  readonly #policy: Policy;
  readonly #weakKeys: WeakKeys | undefined;
  readonly #issuers = new Map<IssuerId, KeyObject>();

  constructor({ policy, issuers, weakKeys }: CheckFacts) {
    this.#policy = policy;
    this.#weakKeys = weakKeys;
    for (const { id, certificate } of issuers) this.#issuers.set(id, new X509Certificate(certificate).publicKey);
  }

  /**
   * Returns the public key of an acceptable request, or the certificate around a good signature.
   * @throws KeysteadError `csr.*`, `key.*`, `keyd.signature-faulty`, `certificate.lint-failed`.
   */
  carryOut(check: Check): Uint8Array {
    return check.kind === 'request' ? this.#request(check) : this.#signed(check);
  }

  /**
   * Reads a certification request and checks it against a profile and the identity that the certificate is for: form,
   * strength of the key, subject and extensions, and last, for it costs the most, the proof of possession. What the
   * request asks for only ever agrees or is refused; the certificate is made from the profile. REQ-KEY-STO-03
   */
  #request({ csr: der, format, profile: id, named }: RequestCheck): DerSpki {
    const profile = profileOf(this.#policy, id);
    const csr = parseRequest(der, format);
    checkPublicKey(csr.spki, profile.keyAlgorithms, this.#weakKeys);
    checkRequest(csr, profile, named);
    verifyProofOfPossession(csr);
    return csr.spki;
  }

  /**
   * A signature with a flipped bit is useless to its owner and, in ECDSA, could give the CA's key away; a certificate
   * that OpenSSL reads as another than was meant is an encoder's fault. Neither leaves keyd.
   */
  #signed({ tbs, signature, algorithm, values, issuer }: SignedCheck): DerCertificate {
    const key = this.#issuers.get(issuer);
    if (key === undefined || !verify(DIGEST_OF[algorithm], tbs, key, signature)) {
      throw new KeysteadError('keyd.signature-faulty', { field: issuer });
    }
    return rereadIssued(assembleSigned(tbs, algorithm, signature), values);
  }
}
