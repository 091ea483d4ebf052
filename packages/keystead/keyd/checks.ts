import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { DIGEST_OF, type SignatureAlgorithm } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  assembleSigned,
  type CertificateValues,
  checkPublicKey,
  checkRequest,
  type Named,
  type Profile,
  parseCsr,
  rereadIssued,
  verifyProofOfPossession,
} from '@keystead/core/x509';

/** A certification request to check before anything is decided on it. */
export interface RequestCheck {
  readonly kind: 'request';
  readonly csr: Uint8Array;
  readonly profile: Profile;
  readonly named: Named;
}

/** A signature to check before it leaves. */
export interface SignedCheck {
  readonly kind: 'signed';
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly values: CertificateValues;
  readonly issuer: DerCertificate;
}

export type Check = RequestCheck | SignedCheck;

/**
 * The checks around a signature that need no key and no state, and cost the most: pure functions, so that it makes no
 * difference on which thread they run. The result is the public key of a request, or the assembled certificate.
 * @throws KeysteadError `csr.*`, `key.*`, `keyd.signature-faulty`, `certificate.lint-failed`.
 */
export function carryOut(check: Check): Uint8Array {
  return check.kind === 'request' ? acceptRequest(check) : acceptSigned(check);
}

/**
 * Reads a certification request and checks it against a profile and the identity that the certificate is for: form,
 * strength of the key, subject and extensions, and last, for it costs the most, the proof of possession. What the
 * request asks for only ever agrees or is refused; the certificate is made from the profile. REQ-KEY-STO-03
 */
function acceptRequest({ csr: der, profile, named }: RequestCheck): DerSpki {
  const csr = parseCsr(der);
  checkPublicKey(csr.spki, profile.keyAlgorithms);
  checkRequest(csr, profile, named);
  verifyProofOfPossession(csr);
  return csr.spki;
}

/**
 * A signature with a flipped bit is useless to its owner and, in ECDSA, could give the CA's key away; a certificate
 * that OpenSSL reads as another than was meant is an encoder's fault. Neither leaves keyd.
 */
function acceptSigned({ tbs, signature, algorithm, values, issuer }: SignedCheck): DerCertificate {
  if (!verify(DIGEST_OF[algorithm], tbs, publicKeyOf(issuer), signature)) {
    throw new KeysteadError('keyd.signature-faulty', { field: 'signature' });
  }
  return rereadIssued(assembleSigned(tbs, algorithm, signature), values);
}

/** The keys of the few issuers, by certificate. */
const issuers = new Map<string, KeyObject>();

function publicKeyOf(issuer: DerCertificate): KeyObject {
  const name = Buffer.from(issuer.buffer, issuer.byteOffset, issuer.byteLength).toString('latin1');
  const known = issuers.get(name);
  if (known !== undefined) return known;
  const { publicKey } = new X509Certificate(issuer);
  issuers.set(name, publicKey);
  return publicKey;
}
