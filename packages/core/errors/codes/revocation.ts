import type { ErrorEntry } from '../entry.ts';

/** CRLs, OCSP, and revocation as an act. */
export const REVOCATION_ERRORS = {
  'ocsp.malformed': {
    kind: 'invalid',
    rule: 'an OCSP request must be DER by RFC 6960, with a nonce of 1 to 128 octets',
  },
  'ocsp.hash-unsupported': { kind: 'unsupported', rule: 'a CertID must be made with SHA-1 or SHA-256' },
  'ocsp.busy': {
    kind: 'unavailable',
    rule: 'an OCSP answer must be made from one state of its certificates, within the capacity of the responder',
    remedy: 'ask again',
  },
  'ocsp.answer-malformed': { kind: 'unauthenticated', rule: 'an OCSP answer must be DER by RFC 6960' },
  'ocsp.answer-refused': { kind: 'unavailable', rule: 'the OCSP responder gave no status' },
  'ocsp.answer-untrusted': {
    kind: 'unauthenticated',
    rule: 'an OCSP answer must be signed by the issuer, or by a responder that the issuer itself authorised',
  },
  'ocsp.answer-mismatch': {
    kind: 'unauthenticated',
    rule: 'an OCSP answer must be for the certificate and nonce that were asked for',
  },
  'ocsp.answer-stale': {
    kind: 'unauthenticated',
    rule: 'an OCSP answer must be of the present, between thisUpdate and nextUpdate',
  },
  'ocsp.issuer-differs': { kind: 'invalid', rule: 'a CertID must name the issuer that is to answer' },
  'ocsp.never-issued': { kind: 'conflict', rule: 'a certificate that keyd has not issued is never said to be good' },
  'crl.malformed': { kind: 'invalid', rule: 'a CRL must be DER of version 2 by RFC 5280 section 5' },
  'crl.unsupported': {
    kind: 'invalid',
    rule: 'a CRL with critical extensions that are not processed must not be relied on',
  },
  'crl.issuer-unfit': { kind: 'invalid', rule: 'the issuer of a CRL must have a subject key identifier' },
  'crl.number-used': { kind: 'conflict', rule: 'each CRL of an issuer has a higher number than the one before' },
  'crl.number-skips': { kind: 'invalid', rule: 'the number of a CRL is at most 1000000 above the one before' },
  'crl.shard-unknown': {
    kind: 'invalid',
    rule: 'a CRL of a partition is made where the policy has that many, or certificates that did not end were issued into it',
  },
  'crl.delta-forbidden': { kind: 'invalid', rule: 'delta CRLs are made where the policy has them' },
  'crl.too-long-for-message': {
    kind: 'too-large',
    rule: 'a CRL of more than a megabyte is not sent in a message',
    remedy: 'fetch it from the address in the certificate',
  },
  'crl.file-differs': {
    kind: 'unavailable',
    rule: 'the file of a CRL must have the hash that keyd told of it',
    remedy: 'nothing was published; it is tried again, and if this stays, look for a disk that is full or faulty',
  },
  'crl.late': {
    kind: 'unavailable',
    rule: 'every CRL is published before the one before it ends',
    remedy: 'see why keyd or the store refuses; when that is mended the lists are published within a minute',
  },
  'crl.withheld': {
    kind: 'forbidden',
    rule: 'without statements of people keyd lists no more certificates than revocation.alone of the policy says, and leaves the others out of its CRLs',
    remedy:
      'OCSP calls them revoked; they are sent again with each CRL and listed as time passes, or now with the whole batch: keystead revoke --batch TICKET --propose',
  },
  'crl.no-root-signer': {
    kind: 'unavailable',
    rule: 'the indirect CRL of the root is signed by a key that a ceremony has certified for it, while that certificate lasts',
    remedy:
      'hold a ceremony (keystead ceremony crl certifies the signer again); without a signer a CA is revoked there',
  },
  'crl-sync.unreachable': {
    kind: 'unavailable',
    rule: 'a distribution point must answer with a CRL',
    remedy: 'what was fetched before stays in force until it ends; look at the address and at the service behind it',
  },
  'crl-sync.unsigned': { kind: 'forbidden', rule: 'a CRL must be signed by one of the CAs that it is wanted for' },
  'crl-sync.ended': { kind: 'forbidden', rule: 'a CRL must be of the present, between thisUpdate and nextUpdate' },
  'crl-sync.older': { kind: 'conflict', rule: 'a CRL never takes the place of one with a higher number' },
  'crl-sync.delta': {
    kind: 'unsupported',
    rule: 'a verifier that reads a file is given whole CRLs: no delta CRL',
    remedy: 'name the address of the full CRL',
  },
  'crl-sync.missing': {
    kind: 'unavailable',
    rule: 'each CA of the path must have its CRL in the bundle, or the verifier refuses everybody below it',
    remedy: 'name the address of its CRL with --url',
  },
  'crl-sync.withdrawn': {
    kind: 'forbidden',
    rule: 'a CA that an indirect CRL revokes, or whose indirect CRL is not to be had, has no CRL in the bundle: the verifier refuses all that it issued',
    remedy:
      'give the certificate of who signs that CRL among the CAs (trust/root-crl-signer.pem); a revoked CA needs a successor',
  },
  'crl-sync.no-ca': { kind: 'invalid', rule: 'the file must hold the certificates of CAs, in PEM' },
  'crl-sync.reload-failed': {
    kind: 'unavailable',
    rule: 'the reload command must end with 0',
    remedy: 'the bundle is written; the next run tries the command again',
  },
  'revocation.act-forbidden': {
    kind: 'invalid',
    rule: 'an order to revoke or to hold is taken here; a release, by releaseHold',
  },
  'revocation.batch-foreign': {
    kind: 'forbidden',
    rule: 'an order for a batch lists the IDevIDs of its units and no other certificate of keyd',
  },
  'revocation.undone': { kind: 'conflict', rule: 'what was once on a CRL is never said to be good again' },
  'revocation.malformed': { kind: 'invalid', rule: 'a revocation has a time that is not in the future' },
  'revocation.unissued-too-many': {
    kind: 'forbidden',
    rule: 'of serial numbers that keyd did not issue, at most 1000000 of one CA are listed',
    remedy: 'no honest front end has that many: take it for one that was taken over',
  },
  'revocation.final': {
    kind: 'conflict',
    rule: 'a revocation is for ever and keeps its first reason (RFC 5280 section 5.3.1)',
  },
  'revocation.reason-forbidden': {
    kind: 'invalid',
    rule: 'a reason must be one that this party may give of this (RFC 5280 section 5.3.1)',
    remedy: 'keystead revoke --help lists them: cACompromise is for a CA only, removeFromCRL never given by hand',
  },
  'revocation.hold-forbidden': {
    kind: 'conflict',
    rule: 'only a certificate, a key or a device is put on hold and released, by an operator',
  },
  'revocation.not-on-hold': { kind: 'conflict', rule: 'only what is on hold is released' },
  'revocation.nothing': { kind: 'not-found', rule: 'what is named has no certificate in force that this would change' },
  'revocation.expired': {
    kind: 'conflict',
    rule: 'a certificate that has ended by itself is not revoked',
    remedy: 'nobody relies on it; when its key is compromised, revoke the key',
  },
  'revocation.invalidity-date': {
    kind: 'invalid',
    rule: 'the date since which something is invalid is not in the future (RFC 5280 section 5.3.2)',
  },
  'revocation.ca-unknown': {
    kind: 'not-found',
    rule: 'the issuer must be a CA that keyd holds: manufacturing, operational, server or operator',
  },
  'revocation.not-own': { kind: 'forbidden', rule: 'a device revokes certificates of its own, and no others' },
  'revocation.quorum-needed': {
    kind: 'forbidden',
    rule: 'the policy asks several people to agree to this',
    remedy: 'keystead revoke … --propose, and keystead revoke approve by the others',
  },
  'revocation.signature-needed': {
    kind: 'forbidden',
    rule: 'a hold is released by an order that an operator has signed, and keyd verifies',
    remedy: 'keystead revoke … --release signs and sends it',
  },
  'revocation.ca-key-in-use': {
    kind: 'conflict',
    rule: 'before all that a CA issued is revoked for its compromise, its key is reported compromised',
    remedy: 'keystead revoke --ca does both; or keystead keys compromise first',
  },
  'revocation.unconfirmed': {
    kind: 'invalid',
    rule: 'a large act is confirmed by the number of certificates that it takes',
    remedy: 'type the number when asked, or give --yes',
  },
  'revocation.list-untrue': {
    kind: 'forbidden',
    rule: 'what is signed for must be certificates of our own CAs that are what was asked for',
    remedy: 'sign nothing: the service shows other certificates than those that were named',
  },
  'revocation.under-way': {
    kind: 'conflict',
    rule: 'another act on the same device, batch or CA is being carried out',
    remedy: 'wait for it: keystead revoke requests shows how far it is',
  },
  'revocation-request.malformed': {
    kind: 'invalid',
    rule: 'a statement about a revocation must have the form that keystead revoke writes',
  },
  'revocation-request.signer-unknown': {
    kind: 'forbidden',
    rule: 'the signer must be an operator of the policy in force',
  },
  'revocation-request.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a CA operator asks for a revocation, and those approve whose role the policy in force names',
  },
  'revocation-request.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must be signed with the key that the policy in force has for its signer',
  },
  'revocation-request.other-order': {
    kind: 'conflict',
    rule: 'every statement must be about the very same order: selector, act, reason, list, proposer',
  },
  'revocation-request.list-differs': {
    kind: 'conflict',
    rule: 'a statement binds the certificates that its signer saw, and they are others now',
    remedy: 'look at it again with --dry-run, and ask anew',
  },
  'revocation-request.expired': { kind: 'forbidden', rule: 'a statement must not have expired', remedy: 'ask anew' },
  'revocation-request.not-yet-valid': { kind: 'forbidden', rule: 'a statement must not be signed in the future' },
  'revocation-request.too-long': {
    kind: 'forbidden',
    rule: 'a statement may not be valid for longer than the policy in force allows',
  },
  'revocation-request.self': { kind: 'forbidden', rule: 'nobody approves their own request' },
  'revocation-request.duplicate': { kind: 'forbidden', rule: 'a person, and a key, counts once' },
  'revocation-request.too-few': {
    kind: 'forbidden',
    rule: 'as many people must approve as the policy in force asks for',
    remedy: 'keystead revoke approve, by another person',
  },
  'revocation-request.order-used': {
    kind: 'conflict',
    rule: 'an order is carried out once',
    remedy: 'sign a new one',
  },
  'revocation-request.too-many': {
    kind: 'too-many',
    rule: 'as many requests for revocations wait as are kept',
    remedy: 'approve or withdraw some: keystead revoke requests',
  },
  'revocation-request.unknown': { kind: 'not-found', rule: 'the request for a revocation must stand in the records' },
  'revocation-request.closed': { kind: 'conflict', rule: 'the request is carried out or withdrawn' },
} as const satisfies Record<string, ErrorEntry>;
