import type { KeyObject } from 'node:crypto';
import type { DerSpki } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import {
  type AgreementGroup,
  generateAgreementPair,
  importAgreementPrivate,
  importAgreementPublic,
  sharedSecret,
} from './agreement-key.ts';
import { spkiOf } from './key.ts';
import { fipsMode } from './password.ts';
import { SecretBytes } from './secret.ts';

/** A private key that agrees and does nothing else. */
export interface AgreementKey {
  readonly group: AgreementGroup;
  readonly spki: DerSpki;
  /**
   * The shared secret Z: the x-coordinate, as long as the field (SP 800-56A r3 section 5.7.1.2), or the 32 octets of
   * X25519 (RFC 7748 section 6.1). It is no key: it goes into a derivation (SP 800-56C) and nowhere else.
   * @param peer validated in full before it is used. @throws KeysteadError `agreement.key-invalid`.
   */
  agree(peer: DerSpki): SecretBytes;
}

/**
 * A key for one agreement (SP 800-56A r3 section 5.6.3.3): `using key = EphemeralKey.generate('P-256')`, send `spki`,
 * `agree` with what the peer sent. The private half never leaves OpenSSL's memory, is let go at the first `agree`,
 * whatever that peer's key was worth, and is overwritten when the runtime collects it. REQ-KEY-KAG-01.
 */
export class EphemeralKey implements AgreementKey {
  readonly group: AgreementGroup;
  readonly spki: DerSpki;
  #key: KeyObject | undefined;

  private constructor(group: AgreementGroup, key: KeyObject) {
    this.group = group;
    this.spki = spkiOf(key);
    this.#key = key;
  }

  /** @throws KeysteadError `agreement.not-approved` for X25519 in FIPS mode, `rng.unhealthy`, `key.inconsistent`. */
  static generate(group: AgreementGroup): EphemeralKey {
    requireApproved(group);
    return EphemeralKey.forHybrid(group);
  }

  /** For this room only: as half of a hybrid, X25519 needs no approval (SP 800-56C r2 section 2). */
  static forHybrid(group: AgreementGroup): EphemeralKey {
    return new EphemeralKey(group, generateAgreementPair(group));
  }

  /** @throws KeysteadError `agreement.key-used` the second time, `agreement.key-invalid`. */
  agree(peer: DerSpki): SecretBytes {
    const key = this.#key;
    if (key === undefined) throw new KeysteadError('agreement.key-used', { field: 'ephemeral key', seen: this.group });
    this.wipe();
    return sharedSecret(this.group, key, importAgreementPublic(this.group, peer));
  }

  /** Lets go of the private half. May be called again. */
  wipe(): void {
    this.#key = undefined;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }
}

/** A key pair that agrees many times: its private half as PrivateKeyInfo (DER, RFC 5208). */
export interface StaticAgreementKey {
  readonly pkcs8: SecretBytes;
  readonly spki: DerSpki;
}

/**
 * A fresh pair for what is encrypted to somebody who is not there. @throws KeysteadError `agreement.not-approved`,
 * `rng.unhealthy`, `key.inconsistent`.
 */
export function generateAgreementKey(group: AgreementGroup): StaticAgreementKey {
  requireApproved(group);
  const key = generateAgreementPair(group);
  const der = key.export({ format: 'der', type: 'pkcs8' });
  return { pkcs8: SecretBytes.take(new Uint8Array(der.buffer, der.byteOffset, der.length)), spki: spkiOf(key) };
}

/**
 * A kept private key, ready to agree. Its pair is checked once, here. OpenSSL holds a copy until the result is
 * collected; `pkcs8` stays with the caller, who may wipe it at once. REQ-KEY-KAG-01.
 * @throws KeysteadError `key.malformed`, `key.algorithm-mismatch`, `agreement.key-invalid`, `key.inconsistent`,
 *   `agreement.not-approved`.
 */
export function softwareAgreement(group: AgreementGroup, pkcs8: SecretBytes): AgreementKey {
  requireApproved(group);
  const key = importAgreementPrivate(group, pkcs8);
  return {
    group,
    spki: spkiOf(key),
    agree: (peer) => sharedSecret(group, key, importAgreementPublic(group, peer)),
  };
}

function requireApproved(group: AgreementGroup): void {
  if (group === 'X25519' && fipsMode()) {
    throw new KeysteadError('agreement.not-approved', { field: 'group', seen: group });
  }
}
