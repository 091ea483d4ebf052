import type { ErrorEntry } from '../entry.ts';

/** The TLS keys of serve itself, which outlive its restarts. */
export const TLS_KEY_ERRORS = {
  'tls-key.custody-forbidden': {
    kind: 'forbidden',
    rule: "serve's TLS key is kept only where the policy lets keys of TLS servers live in a sealed file",
    remedy: "add 'sealed-file' to the custody of 'tls-server' in the policy, or pin no key of serve's",
  },
  'tls-key.keystore-unfit': {
    kind: 'unsupported',
    rule: "serve's TLS key is sealed by a master in keyd's keystore: a sealed file, a PKCS#11 token with CKM_SHA256_HMAC, or a TPM with a sealed file beside it",
    remedy: "name a sealed file in keyd's keystore.json, or pin no key of serve's",
  },
  'tls-key.seal-lost': {
    kind: 'unavailable',
    rule: "what seals serve's TLS keys must be in the keystore of this keyd",
    remedy: 'restore keyd and records from one backup; or put a key that opens in its place: keystead tls-key',
  },
  'tls-key.unreadable': {
    kind: 'unavailable',
    rule: 'a kept TLS key must open under the seal of this keyd, as what its record names',
    remedy: 'restore keyd and records from one backup; or put a key that opens in its place: keystead tls-key',
  },
  'tls-key.revoked': {
    kind: 'forbidden',
    rule: 'serve does not show a TLS key that was compromised, or whose certificate is revoked or on hold',
    remedy: 'put the next or the backup key in its place: keystead tls-key use',
  },
  'tls-key.period-ended': {
    kind: 'forbidden',
    rule: 'a TLS key is shown only within its originator usage period (SP 800-57 pt 1 r5 section 5.3)',
    remedy:
      "put the next key in its place: keystead tls-key use; or have the quorum approve a policy with a longer period of 'tls-server'",
  },
  'tls-key.not-announced': {
    kind: 'conflict',
    rule: 'a key takes the place of one that the newest trust bundle pins only when that bundle pins it under each of the same names',
    remedy:
      'announce it first: keystead tls-key pins, keystead trust propose; then wait for the devices (keystead rotate)',
  },
  'tls-key.exists': {
    kind: 'conflict',
    rule: 'there is one next key and one backup at a time',
    remedy: 'use it, or say --replace: what pins the one that is replaced knows no key of serve by it any more',
  },
  'tls-key.unknown': {
    kind: 'not-found',
    rule: 'the key must be the next or the backup that serve keeps, by its whole SHA-256',
    remedy: 'keystead tls-key show',
  },
} as const satisfies Record<string, ErrorEntry>;
