import type { ErrorEntry } from '../entry.ts';

/** Certification requests, certificates and profiles. */
export const CERTIFICATES_ERRORS = {
  'csr.not-der': { kind: 'invalid', rule: 'a certification request must be DER by RFC 2986' },
  'csr.attributes-malformed': {
    kind: 'invalid',
    rule: 'what a server would have in a request must be CsrAttrs, DER (RFC 7030 section 4.5.2)',
  },
  'csr.signature-invalid': {
    kind: 'invalid',
    rule: 'the proof of possession (the signature of the request by its own key) must verify',
  },
  'csr.subject-mismatch': { kind: 'forbidden', rule: 'the subject must be that of the authenticated requester' },
  'csr.extension-forbidden': {
    kind: 'invalid',
    rule: 'the request may ask only for extensions that the profile allows',
  },
  'csr.signature-algorithm': {
    kind: 'invalid',
    rule: 'a request is signed by its own key with SHA-256 or SHA-384, or with Ed25519',
  },
  'csr.names-missing': {
    kind: 'invalid',
    rule: 'a request under an authorisation must name what it is for: the device as CN, or each host in subjectAltName',
  },
  'cert.not-der': { kind: 'invalid', rule: 'a certificate must be DER by RFC 5280' },
  'certificate.lint-failed': {
    kind: 'invalid',
    rule: 'a certificate must keep RFC 5280 and its profile before it is signed',
  },
  'certificate.unknown': { kind: 'not-found', rule: 'the certificate must stand in the records' },
  'profile.unknown': { kind: 'invalid', rule: 'the profile must be one that the policy holds' },
  'profile.not-requestable': {
    kind: 'forbidden',
    rule: 'certificates of this profile are not given on request',
  },
  'profile.requester-forbidden': { kind: 'forbidden', rule: 'the profile says which kinds of requester may ask' },
  'ca.revoked': {
    kind: 'forbidden',
    rule: 'a CA whose certificate the root has revoked issues nothing more',
    remedy: 'have a successor certified: keystead ceremony intermediate',
  },
  'ca.superseded': {
    kind: 'forbidden',
    rule: 'a key of a CA that has a successor answers for what it issued and issues nothing more',
    remedy: 'ask again: the CA issues by its next key',
  },
  'issuer.unknown': {
    kind: 'not-found',
    rule: 'an issuer is a CA of this keyd, or one of its later keys, such as operational.2',
  },
} as const satisfies Record<string, ErrorEntry>;
