import type { ErrorEntry } from '../entry.ts';

/** EST and CMS (RFC 7030, RFC 5652). */
export const EST_ERRORS = {
  'est.refused': { kind: 'forbidden', rule: 'the EST server refused the request' },
  'est.malformed': { kind: 'invalid', rule: 'the EST server must answer by RFC 7030 and RFC 8951' },
  'est.unreachable': { kind: 'unavailable', rule: 'the EST server must be reachable' },
  'est.label-unknown': {
    kind: 'not-found',
    rule: 'a label of EST is the id of a profile by which devices or hosts get certificates',
  },
  'est.fullcmc': {
    kind: 'not-found',
    rule: 'Keystead speaks no CMC: RFC 7030 leaves /fullcmc to the server',
    remedy: 'use simpleenroll, simplereenroll, serverkeygen, or CMP',
  },
  'est.authorization-malformed': {
    kind: 'unauthenticated',
    rule: 'the Authorization header must be Basic with the id and the secret of an enrolment authorisation',
  },
  'est.channel-binding-missing': {
    kind: 'forbidden',
    rule: 'the policy wants requests of this profile bound to their TLS connection (RFC 7030 section 3.5)',
    remedy: 'put tls-unique (TLS 1.2) or tls-exporter (TLS 1.3), base64, into challengePassword',
  },
  'est.channel-binding-wrong': {
    kind: 'forbidden',
    rule: 'a challengePassword must be the channel binding of the very connection that brings it (RFC 7030 section 3.5)',
  },
  'enrol.certificate-refused': {
    kind: 'invalid',
    rule: 'an issued certificate must carry the key and name that were asked for and chain to a pinned anchor',
  },
  'enrol.certificate-unfit': {
    kind: 'forbidden',
    rule: 'a first enrolment or recovery is asked for with the IDevID, a renewal with the current LDevID',
  },
  'server-key.forbidden': {
    kind: 'forbidden',
    rule: 'keyd makes keys for others only by the profiles that the policy names in est.serverKeys',
    remedy: 'make the key on the device, or have a quorum change the policy',
  },
  'server-key.algorithm': {
    kind: 'unsupported',
    rule: 'keyd makes P-256, P-384 and Ed25519 keys for others; an RSA key takes a second in which nobody is served',
  },
  'server-key.recipient-missing': {
    kind: 'forbidden',
    rule: 'a key that is made for a device leaves keyd only wrapped to a certificate of that device',
    remedy: 'show the IDevID or LDevID in the TLS handshake',
  },
  'server-key.recipient-unfit': {
    kind: 'forbidden',
    rule: 'a key can be wrapped only to an RSA certificate, or to one on P-256 or P-384',
  },
  'server-key.recipient-unknown': {
    kind: 'forbidden',
    rule: 'AsymmetricDecryptKeyIdentifier must be the subject key identifier of a valid certificate of the same device',
  },
  'server-key.symmetric': {
    kind: 'unsupported',
    rule: 'Keystead shares no symmetric keys with devices: DecryptKeyIdentifier names none',
    remedy: 'use AsymmetricDecryptKeyIdentifier, or leave it out',
  },
  'cms.malformed': {
    kind: 'invalid',
    rule: 'a certs-only message must be a SignedData without signers (RFC 5652, RFC 8951)',
  },
  'cms.message-malformed': {
    kind: 'invalid',
    rule: 'a CMS message must be DER of the form that this operation takes (RFC 5652)',
  },
  'cms.algorithm': {
    kind: 'unsupported',
    rule: 'a message is signed with SHA-256 or SHA-384, and encrypted with AES-128-CBC or AES-256-CBC',
  },
  'cms.signature-invalid': {
    kind: 'invalid',
    rule: 'the signature of the message must verify with its signer certificate',
  },
  'cms.recipient-unfit': {
    kind: 'unsupported',
    rule: 'content is encrypted only to an RSA key, or to a key on P-256 or P-384',
  },
} as const satisfies Record<string, ErrorEntry>;
