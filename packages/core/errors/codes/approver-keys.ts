import type { ErrorEntry } from '../entry.ts';

/** Keys of people who approve: SSH signatures, passkeys. */
export const APPROVER_KEYS_ERRORS = {
  'ssh.malformed': {
    kind: 'invalid',
    rule: 'an SSH key or signature must have the form that OpenSSH gives it, and nothing after it',
  },
  'ssh.key-unsuitable': {
    kind: 'invalid',
    rule: 'an SSH key must be Ed25519, ECDSA on P-256 or P-384, RSA of 2048, 3072 or 4096 bits, or one of the first two in a security key',
  },
  'webauthn.malformed': {
    kind: 'invalid',
    rule: 'what a browser and its authenticator answer must have the form of W3C WebAuthn, of bounded size',
  },
  'webauthn.type-differs': {
    kind: 'forbidden',
    rule: 'a registration is no assertion, and an assertion no registration',
  },
  'webauthn.challenge-differs': {
    kind: 'forbidden',
    rule: 'an assertion holds for the one challenge that it was made for: this very statement',
    remedy: 'sign what is asked for now; an assertion of something else cannot be used again',
  },
  'webauthn.origin-foreign': {
    kind: 'forbidden',
    rule: 'an assertion is made at one of the origins that the policy names for the credential, in no frame of another page',
    remedy: 'open the console under its own address; if somebody sent you a link, report it',
  },
  'webauthn.relying-party-foreign': {
    kind: 'forbidden',
    rule: 'an assertion is made for the relying party that the credential was registered for',
  },
  'webauthn.user-absent': { kind: 'forbidden', rule: 'somebody must have touched the authenticator' },
  'webauthn.user-unverified': {
    kind: 'forbidden',
    rule: 'the authenticator must have verified who touches it, by PIN or biometrics',
    remedy: 'set a PIN on the security key',
  },
  'webauthn.credential-differs': {
    kind: 'forbidden',
    rule: 'an assertion is made by a credential that the policy has for its signer',
  },
  'webauthn.algorithm-forbidden': {
    kind: 'invalid',
    rule: 'a credential signs by ES256 on P-256, EdDSA on Ed25519, or RS256',
  },
  'webauthn.attestation-refused': {
    kind: 'invalid',
    rule: 'an attestation is of the format none, or packed by the key of the credential itself',
  },
  'webauthn.signature-invalid': {
    kind: 'forbidden',
    rule: 'the signature of an assertion must be by the key of its credential',
  },
} as const satisfies Record<string, ErrorEntry>;
