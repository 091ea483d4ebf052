import type { ErrorEntry } from '../entry.ts';

/** What is wrong with a request as such, or with who makes it. */
export const REQUESTS_ERRORS = {
  'request.malformed': { kind: 'invalid', rule: 'the request does not have the form that this operation takes' },
  'request.too-large': { kind: 'too-large', rule: 'the body is larger than this operation takes' },
  'request.content-type': { kind: 'unsupported', rule: 'the content type is not the one that this operation takes' },
  'internal.unexpected': {
    kind: 'internal',
    rule: 'an unexpected failure; nothing was changed',
    remedy: 'look up the request id in the log',
  },
  'client.certificate-missing': {
    kind: 'unauthenticated',
    rule: 'a client certificate must be shown in the TLS handshake',
  },
  'client.certificate-malformed': { kind: 'unauthenticated', rule: 'the client certificate must be readable' },
  'client.certificate-foreign': {
    kind: 'unauthenticated',
    rule: 'the client certificate must be issued by a CA of this system',
  },
  'client.certificate-expired': {
    kind: 'unauthenticated',
    rule: 'the client certificate must be within its validity',
    remedy: 'a device recovers with its IDevID (simpleenroll); an operator asks for a new certificate',
  },
  'client.certificate-revoked': { kind: 'unauthenticated', rule: 'the client certificate must not be revoked' },
  'client.certificate-unknown': {
    kind: 'unauthenticated',
    rule: 'the client certificate must stand in the records: what was signed but never recorded is void',
  },
  'client.certificate-unsuitable': {
    kind: 'unauthenticated',
    rule: 'the client certificate must be one for TLS clients that names a device, a station or an operator',
  },
  'access.forbidden': { kind: 'forbidden', rule: 'the caller must hold a role that has this permission' },
  'operator.key-differs': {
    kind: 'forbidden',
    rule: 'an operator gets a certificate for the key that stands in the policy under that name, and for no other',
  },
  'operator.no-key-here': {
    kind: 'not-found',
    rule: 'the certificate and the key of the operator must lie in the directory of operators',
    remedy: 'name an operator whose key is on this machine, or the data directory where it lies',
  },
  'operator.unknown': { kind: 'forbidden', rule: 'the operator must stand in the policy' },
  'operator.forbidden': { kind: 'forbidden', rule: 'the operator must hold a role that may do this' },
  'requester.message-missing': {
    kind: 'forbidden',
    rule: "the policy wants a device to sign its request in a CMP message (deviceProof is 'message')",
    remedy: 'enrol and renew by CMP, at /.well-known/cmp: docs/cmp.md',
  },
  'requester.unproven': {
    kind: 'forbidden',
    rule: 'the requester must show a valid certificate of its own that names it',
  },
  'requester.quarantined': {
    kind: 'forbidden',
    rule: 'a unit of a factory that is in quarantine proves no device',
    remedy: 'keystead factory conflicts lists what is in its way',
  },
  'requester.not-reconciled': {
    kind: 'forbidden',
    rule: 'the IDevID of a factory must be one that the factory has told headquarters of',
    remedy: 'have the factory node send what it provisioned, then ask again with the same request',
  },
  'requester.revoked': { kind: 'forbidden', rule: 'the certificate of the requester must not be revoked' },
  'person.name-malformed': {
    kind: 'invalid',
    rule: 'a name of a person is 1 to 64 of a-z 0-9 . - and begins with a letter or digit',
  },
  'name.malformed': {
    kind: 'invalid',
    rule: 'a name must be one that a certificate can carry (RFC 5280 section 4.1.2)',
  },
  'device.id-malformed': {
    kind: 'invalid',
    rule: 'a device id is 1 to 64 of A-Z a-z 0-9 . - and begins with a letter or digit',
  },
  'device.already-provisioned': {
    kind: 'conflict',
    rule: 'a device is provisioned once, with one key, under one ticket',
  },
  'device.not-provisioned': { kind: 'not-found', rule: 'keyd must have provisioned the device itself' },
  'device.unknown': { kind: 'not-found', rule: 'the device must stand in the records' },
  'device.blocked': {
    kind: 'forbidden',
    rule: 'a device that is stolen or decommissioned, or whose identity was revoked, gets no certificate',
  },
  'device.quarantined': {
    kind: 'forbidden',
    rule: 'nothing is issued to a device in quarantine',
    remedy: 'keystead factory conflicts says why; operators release or reject it',
  },
} as const satisfies Record<string, ErrorEntry>;
