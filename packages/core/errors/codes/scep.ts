import type { ErrorEntry } from '../entry.ts';

/** SCEP (RFC 8894). */
export const SCEP_ERRORS = {
  'scep.off': { kind: 'not-found', rule: 'SCEP is not switched on here' },
  'scep.operation-unknown': {
    kind: 'invalid',
    rule: 'operation must be GetCACaps, GetCACert or PKIOperation (RFC 8894)',
  },
  'scep.message-unreadable': {
    kind: 'invalid',
    rule: 'the message cannot be read: it is not for this RA, or what is in it is no request. No more is told on purpose',
    remedy: 'fetch the RA certificate anew (GetCACert): it changes with each start',
  },
  'scep.attributes': {
    kind: 'invalid',
    rule: 'a SCEP message carries a transactionID, a messageType and a senderNonce of 16 octets (RFC 8894 section 3.2.1)',
  },
  'scep.key-differs': {
    kind: 'forbidden',
    rule: 'a first request is signed with the very key that it asks a certificate for (RFC 8894 section 2.3)',
  },
  'scep.challenge': {
    kind: 'forbidden',
    rule: 'challengePassword must be the id and the secret of an enrolment authorisation, with a dot between',
  },
  'scep.replayed': { kind: 'conflict', rule: 'a senderNonce is used once' },
  'scep.transaction': {
    kind: 'conflict',
    rule: 'a transactionID belongs to one request of one key until it ends',
  },
  'scep.certificate-unknown': {
    kind: 'not-found',
    rule: 'no certificate, CRL or transaction is the one that is asked for',
  },
  'scep.profile-missing': {
    kind: 'unavailable',
    rule: 'SCEP needs the profile scep-ra in the policy',
    remedy: 'have a quorum add it: docs/scep.md shows it',
  },
} as const satisfies Record<string, ErrorEntry>;
