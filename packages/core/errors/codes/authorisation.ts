import type { ErrorEntry } from '../entry.ts';

/** Enrolment authorisations and requests that wait for one. */
export const AUTHORISATION_ERRORS = {
  'authorisation.malformed': {
    kind: 'invalid',
    rule: 'an enrolment authorisation must have the form that `keystead authorisation create` writes',
  },
  'authorisation.signer-unknown': {
    kind: 'forbidden',
    rule: 'the signer of an enrolment authorisation must stand in the policy',
  },
  'authorisation.signer-forbidden': {
    kind: 'forbidden',
    rule: 'the signer of an enrolment authorisation must hold a role that may authorise enrolments',
  },
  'authorisation.signature-invalid': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation must carry the signature of the operator whom it names',
  },
  'authorisation.exceeds-policy': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation may not allow more than the policy does',
  },
  'authorisation.not-yet-valid': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is used from its notBefore on',
  },
  'authorisation.expired': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is used before its notAfter',
    remedy: 'ask an operator for a new one',
  },
  'authorisation.name-forbidden': {
    kind: 'forbidden',
    rule: 'a certificate is given only for names that the enrolment authorisation allows',
  },
  'authorisation.profile-forbidden': {
    kind: 'forbidden',
    rule: 'a certificate is given only by the profile that the enrolment authorisation names',
  },
  'authorisation.way-forbidden': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is used by the protocols that it names',
  },
  'authorisation.needs-approval': {
    kind: 'forbidden',
    rule: 'each request under this enrolment authorisation needs the approval of an operator',
  },
  'authorisation.request-differs': {
    kind: 'forbidden',
    rule: 'an approval is for the one request whose hash it names',
  },
  'authorisation.spent': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is good for as many keys as it says',
    remedy: 'ask an operator for a new one',
  },
  'authorisation.id-reused': { kind: 'conflict', rule: 'two enrolment authorisations never have the same id' },
  'authorisation.before-restore': {
    kind: 'forbidden',
    rule: 'an authorisation that was in force before a restore is closed: its uses since the backup are forgotten',
    remedy: 'create a new one',
  },
  'authorisation.unknown': { kind: 'not-found', rule: 'the enrolment authorisation must be registered here' },
  'authorisation.withdrawn': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation that was withdrawn is not used any more',
  },
  'authorisation.secret-wrong': {
    kind: 'unauthenticated',
    rule: 'the id and the secret of an enrolment authorisation must belong together',
  },
  'authorisation.secret-malformed': {
    kind: 'invalid',
    rule: 'the secret of an enrolment authorisation is 32 octets, base64url without padding',
  },
  'authorisation.secret-unreadable': {
    kind: 'forbidden',
    rule: 'the secret must have been sealed under the channel key that serve has now',
    remedy: 'withdraw this enrolment authorisation and create a new one',
  },
  'authorisation.refused': { kind: 'forbidden', rule: 'an operator refused this request' },
  'authorisation.before-recount': {
    kind: 'forbidden',
    rule: 'an authorisation that was in force before a recount is closed: uses of it may be forgotten',
    remedy: 'sign a new authorisation',
  },
  'enrolment-request.unknown': { kind: 'not-found', rule: 'the request must be one that was made here' },
  'enrolment-request.decided': { kind: 'conflict', rule: 'a request is decided once' },
  'enrolment-request.too-many': {
    kind: 'too-many',
    rule: 'only so many requests of one authorisation wait for a decision at a time',
    remedy: 'have the waiting ones decided',
  },
} as const satisfies Record<string, ErrorEntry>;
