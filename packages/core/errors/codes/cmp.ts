import type { ErrorEntry } from '../entry.ts';

/** CMP (RFC 9810, RFC 9483). */
export const CMP_ERRORS = {
  'cmp.malformed': { kind: 'invalid', rule: 'a CMP message must be DER by RFC 9810 of at most 64 KiB' },
  'cmp.version-unsupported': { kind: 'invalid', rule: 'a CMP message must be of version 2 or 3' },
  'cmp.body-unsupported': {
    kind: 'invalid',
    rule: 'the message must be one of the lightweight profile (RFC 9483) that is served here',
    remedy:
      'send ir, cr, kur, p10cr, rr, genm, certConf or pollReq, to the address of that operation or to the common one',
  },
  'cmp.one-request': { kind: 'invalid', rule: 'a message is about one certificate (RFC 9483 section 4.1)' },
  'cmp.algorithm-unsupported': {
    kind: 'invalid',
    rule: 'a message is protected by a signature of RFC 9481 section 3, or by PBMAC1 or PasswordBasedMac with SHA-2',
  },
  'cmp.protection-missing': {
    kind: 'unauthenticated',
    rule: 'every request is protected: by the key of a certificate, or by the secret of an authorisation',
  },
  'cmp.protection-invalid': {
    kind: 'unauthenticated',
    rule: 'the protection must be that of this very header and body',
    remedy: 'sign with the key of the first certificate in extraCerts, or check the secret and its reference',
  },
  'cmp.header-incomplete': {
    kind: 'invalid',
    rule: 'a header has a transactionID and a senderNonce of at least 16 octets, and its sender is its signer',
  },
  'cmp.time-refused': {
    kind: 'unauthenticated',
    rule: 'the time of a message must be that of its arrival, give or take ten minutes',
    remedy: 'set the clock of the client',
  },
  'cmp.nonce-refused': { kind: 'unauthenticated', rule: 'an answer names the nonce of the message that it answers' },
  'cmp.recipient-wrong': { kind: 'invalid', rule: 'the recipient must be this authority, or left empty' },
  'cmp.transaction-used': {
    kind: 'conflict',
    rule: 'a transactionID stands for one request of one requester',
    remedy: 'begin again with another transactionID',
  },
  'cmp.transaction-unknown': {
    kind: 'not-found',
    rule: 'the transaction must be one that this requester began and that has not ended',
    remedy: 'begin again: the same request gets the same certificate',
  },
  'cmp.transactions-many': {
    kind: 'too-many',
    rule: 'one requester has at most 256 transactions that have not ended',
    remedy: 'confirm what was issued, or wait until it has lapsed',
  },
  'cmp.busy': {
    kind: 'too-many',
    rule: 'only so many messages that a shared secret protects are checked at a time',
    remedy: 'try again in a moment',
  },
  'cmp.pop-refused': {
    kind: 'invalid',
    rule: 'possession of the key is proven by its signature over the CertRequest (RFC 4211 section 4.1) and by nothing else',
    remedy: 'sign the request with the new key; for a key that cannot sign there is no certificate here',
  },
  'cmp.template-refused': {
    kind: 'invalid',
    rule: 'a certificate request has what RFC 9483 section 4.1.1 lets a requester say, and archives no key',
  },
  'cmp.profile-differs': {
    kind: 'invalid',
    rule: 'the profile in the address or the header must be the one that the requester may have',
  },
  'cmp.old-certificate': {
    kind: 'forbidden',
    rule: 'a key update is signed with the certificate that it names as the old one',
  },
  'cmp.not-by-mac': {
    kind: 'forbidden',
    rule: 'key updates and revocations are signed by the key of a certificate; a shared secret is for enrolment',
  },
  'cmp.revocation-refused': {
    kind: 'forbidden',
    rule: 'a device revokes its own LDevIDs, for good; all else is for operators',
  },
  'cmp.confirmation-refused': {
    kind: 'invalid',
    rule: 'a confirmation names the certificate of its transaction by its hash',
  },
  'cmp.confirmation-late': {
    kind: 'conflict',
    rule: 'a certificate is confirmed in time, or it is revoked',
    remedy: 'enrol again with a new key',
  },
  'cmp.off': {
    kind: 'not-found',
    rule: "CMP is off: the policy in force has no profile 'cmp-ra' for the signer of its answers",
    remedy:
      "put a policy in force that has it; `keystead policy` and the default policy's profile of that name show how",
  },
  'cmp.refused': { kind: 'forbidden', rule: 'the CMP server refused the request' },
  'cmp.answer-untrusted': {
    kind: 'unauthenticated',
    rule: 'an answer must be signed by a registration authority under a pinned anchor, and answer this request',
  },
} as const satisfies Record<string, ErrorEntry>;
