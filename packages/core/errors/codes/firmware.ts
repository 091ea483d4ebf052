import type { ErrorEntry } from '../entry.ts';

/** Firmware images, orders to sign them, and the keys that do. */
export const FIRMWARE_ERRORS = {
  'scan.no-file': { kind: 'not-found', rule: 'what is to be scanned must be there' },
  'firmware.malformed': {
    kind: 'invalid',
    rule: 'an image must have the form of its format, whole and with nothing after it',
  },
  'firmware.signed-already': {
    kind: 'conflict',
    rule: 'an image that has a signature is not signed again',
    remedy: 'give the image as it was built, before it was signed',
  },
  'firmware.unsigned': { kind: 'invalid', rule: 'a signed image is put together from at least one signature' },
  'firmware.format-unknown': { kind: 'invalid', rule: 'the format must be one that this program signs' },
  'firmware.key-unsuitable': { kind: 'invalid', rule: 'the key must be of an algorithm that the format knows' },
  'firmware.tuf-threshold': {
    kind: 'forbidden',
    rule: 'metadata is signed by as many keys of its role as the root asks for',
    remedy: 'have others of the role sign it: keystead tuf sign',
  },
  'firmware.tuf-version': {
    kind: 'conflict',
    rule: 'a version of metadata goes up, a root by one each time, and has one content for good',
    remedy: 'propose it again from what is published',
  },
  'firmware.tuf-expired': {
    kind: 'conflict',
    rule: 'metadata is published and built upon before it expires',
    remedy: 'propose a later one, signed by its role; look at the clock',
  },
  'firmware.tuf-target': {
    kind: 'conflict',
    rule: 'a target file must be there with the length and hash that signed metadata gives',
  },
  'firmware.tuf-repository': { kind: 'not-found', rule: 'there must be a TUF repository in the directory, whole' },
  'firmware.anchor-missing': {
    kind: 'not-found',
    rule: 'every signing key of a product and environment has a certificate, and there is at least one',
    remedy: 'give the certificates that the ceremony made, by the ids of the policy',
  },
  'firmware.anchor-differs': {
    kind: 'conflict',
    rule: 'a trust anchor is the key that the policy means, and no two ids are one key',
  },
  'firmware.anchor-drift': {
    kind: 'conflict',
    rule: 'what boots and what signs are one: an anchor is the key that keyd holds, by the policy that keyd goes by',
    remedy:
      'take the policy and the certificates that are in force; a key that was killed goes out of the policy first',
  },
  'firmware.parameter': { kind: 'invalid', rule: 'a parameter of the image must be one that its header can carry' },
  'firmware-order.malformed': {
    kind: 'invalid',
    rule: 'a statement of an order to sign firmware must have the one form that is signed',
  },
  'firmware-order.signer-unknown': { kind: 'forbidden', rule: 'who signs must be an operator of the policy in force' },
  'firmware-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a release engineer asks, and who approves holds a role that the policy names for the product',
  },
  'firmware-order.signature-invalid': {
    kind: 'forbidden',
    rule: "the signature must be one of the operator's key in the policy in force",
  },
  'firmware-order.other-order': {
    kind: 'invalid',
    rule: 'every statement must be about the very same order, of the same proposer',
  },
  'firmware-order.expired': {
    kind: 'forbidden',
    rule: 'no statement may have ended',
    remedy: 'have the order signed again by those whose statements have ended',
  },
  'firmware-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'firmware-order.too-long': { kind: 'invalid', rule: 'a statement ends within approvals.maxSeconds of the policy' },
  'firmware-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'firmware-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'firmware-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as the policy asks for',
    remedy: 'have others approve: keystead sign approve',
  },
  'firmware-order.not-in-policy': {
    kind: 'forbidden',
    rule: 'the policy must have the product and its environment, with the target, the format and the keys',
    remedy: 'look at the section firmware of the policy; another policy takes its quorum',
  },
  'firmware-order.rollback-forbidden': {
    kind: 'forbidden',
    rule: 'version and security counter go back only where the policy has a quorum for it',
  },
  'firmware-order.id-reused': {
    kind: 'conflict',
    rule: 'one id is one order, which is carried out once',
    remedy: 'ask again under another id',
  },
  'firmware-order.subject-differs': {
    kind: 'conflict',
    rule: 'the subject must have the SHA-256 that people approved, and be of the image that they approved',
    remedy: 'find out who changed the image after it was approved; nothing was signed',
  },
  'firmware-order.claims-differ': {
    kind: 'invalid',
    rule: 'what the order says of an image must be what the image says of itself',
  },
  'firmware-order.version-taken': {
    kind: 'conflict',
    rule: 'one version of a product, for one target and environment, is one image',
    remedy: 'build another version',
  },
  'firmware-order.rollback': {
    kind: 'conflict',
    rule: 'neither version nor security counter goes below what was signed before',
    remedy: 'build a higher version; going back takes an order with rollback and its larger quorum',
  },
  'firmware-order.floor-unknown': {
    kind: 'conflict',
    rule: 'after a restore or an older disk nobody knows how high the versions of a target stood: its first order says that it may go back',
    remedy:
      'find the highest version that devices have, from the log and the records, and order with --rollback: a larger quorum agrees',
  },
  'firmware-order.before-restore': {
    kind: 'conflict',
    rule: 'a statement is of after the last restore: what was carried out before it may be forgotten',
    remedy: 'have the order signed again, and see in the audit log which version was signed last',
  },
  'firmware-order.before-recount': {
    kind: 'conflict',
    rule: 'a statement is of after the last recount: what was carried out before it may be forgotten',
    remedy: 'have the order signed again, and see in the audit log which version was signed last',
  },
  'firmware-key.in-use': {
    kind: 'conflict',
    rule: 'a firmware key is destroyed when the policy has retired it, or when it was killed',
    remedy: 'take it out of keys and trusted of its line first',
  },
  'firmware-key.needs-quorum': {
    kind: 'forbidden',
    rule: 'one person suspends a firmware key and no more: its end and its return take a quorum',
    remedy: 'suspend it with keystead keys suspend; then keystead sign key kill, or keystead sign key resume',
  },
  'firmware-key.scope': {
    kind: 'forbidden',
    rule: 'a key signs for the product, the environment and the formats that its certificate and the policy name',
  },
  'firmware-key.uncertified': {
    kind: 'unavailable',
    rule: 'a production key must be certified by the signing root, and its certificate must not have ended',
    remedy: 'hold a ceremony that certifies it',
  },
  'firmware-key.exhausted': {
    kind: 'forbidden',
    rule: 'a key signs no more orders than maxSignatures of the policy',
    remedy: 'introduce its successor',
  },
  'firmware-key.uses-unknown': {
    kind: 'forbidden',
    rule: 'after a restore, or on an older disk, a quorum says from the audit log how often a key was used, and by what',
    remedy:
      'count its orders in the audit log, suspend the key where it is not, and: keystead sign key resume KEY --used N',
  },
  'firmware-key-order.malformed': {
    kind: 'invalid',
    rule: 'a statement of an order about a firmware key must have the one form that is signed',
  },
  'firmware-key-order.signer-unknown': {
    kind: 'forbidden',
    rule: 'who signs must be an operator of the policy in force',
  },
  'firmware-key-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who asks may ask for it, and who approves holds a role of the quorum that the policy names',
  },
  'firmware-key-order.signature-invalid': {
    kind: 'forbidden',
    rule: "the signature must be one of the operator's key in the policy in force",
  },
  'firmware-key-order.other-order': {
    kind: 'invalid',
    rule: 'every statement must be about the very same order, of the same proposer',
  },
  'firmware-key-order.expired': {
    kind: 'forbidden',
    rule: 'no statement may have ended',
    remedy: 'have the order signed again by those whose statements have ended',
  },
  'firmware-key-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'firmware-key-order.too-long': {
    kind: 'invalid',
    rule: 'a statement ends within approvals.maxSeconds of the policy',
  },
  'firmware-key-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'firmware-key-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'firmware-key-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as the policy asks for',
    remedy: 'have others approve: keystead sign key approve',
  },
  'firmware-key-order.stale': {
    kind: 'conflict',
    rule: 'an order that brings a key back is for one suspension of one key',
    remedy: 'look at the key with keystead keys show, and have the order signed again',
  },
  'firmware-key-order.key-unknown': {
    kind: 'not-found',
    rule: 'an order is about a firmware key of this keyd, by its id and its public key',
  },
} as const satisfies Record<string, ErrorEntry>;
