import type { ErrorEntry } from '../entry.ts';

/** Public keys, random numbers and the inventory of keys. */
export const KEYS_ERRORS = {
  'key.algorithm-forbidden': {
    kind: 'invalid',
    rule: 'the key must be of an algorithm and size that the profile allows',
  },
  'key.weak': { kind: 'invalid', rule: 'the key is weak: it fails a check of its parameters' },
  'key.known-compromised': {
    kind: 'invalid',
    rule: 'the key is publicly known and may never be used',
    remedy: 'make a new key',
  },
  'key.already-used': {
    kind: 'conflict',
    rule: 'a key belongs to one device and one certificate for all time',
    remedy: 'make a new key',
  },
  'key.malformed': { kind: 'invalid', rule: 'a private key must be DER by PKCS#8 (RFC 5208)' },
  'key.algorithm-mismatch': { kind: 'invalid', rule: 'the key must be of the algorithm that its record names' },
  'key.not-opened': {
    kind: 'unauthenticated',
    rule: 'an encrypted private key opens only whole and with its own passphrase',
  },
  'key.inconsistent': {
    kind: 'internal',
    rule: 'a new key pair must verify its own signature (FIPS 140-3 pairwise consistency)',
  },
  'key.cryptoperiod-ended': {
    kind: 'forbidden',
    rule: 'a key signs only within its originator usage period (SP 800-57 pt 1 r5 section 5.3)',
    remedy: 'replace the key in a ceremony, or have the quorum approve a policy with a longer period',
  },
  'key.transition-forbidden': {
    kind: 'conflict',
    rule: 'the key may change its state only by a transition of the table (SP 800-57 pt 1 r5 section 7)',
  },
  'key.history-disordered': {
    kind: 'invalid',
    rule: 'the history of a key begins with its generation, and each step is at or after the one before',
  },
  'key.use-forbidden': {
    kind: 'forbidden',
    rule: 'a key is used only as its state and its usage periods allow (SP 800-57 pt 1 r5 sections 5.3.5 and 7)',
    remedy: 'keystead keys tells the state, dates and history of each key',
  },
  'key.unknown': { kind: 'not-found', rule: 'the key must stand in the inventory' },
  'key.reported-compromised': {
    kind: 'conflict',
    rule: 'a key that was reported compromised is never certified again',
    remedy: 'make a new key',
  },
  'key-list.malformed': {
    kind: 'invalid',
    rule: 'a list of weak keys has lines of 20 lowercase hex digits, and comments that begin with #',
    remedy: 'put the list back as its publisher has it, or take it out of weak-keys/ in the directory of keyd',
  },
  'key-order.malformed': { kind: 'invalid', rule: 'an order for a key must have the form that keystead keys writes' },
  'key-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a key is stopped by a CA operator, and brought back by a policy administrator who did not stop it',
  },
  'key-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'an order for a key must carry the signature of the operator whom it names',
  },
  'key-order.stale': {
    kind: 'conflict',
    rule: 'an order for a key is for one key in one moment of its history, and good for an hour',
    remedy: 'look at the key with keystead keys show, and give the order again',
  },
  'rng.unhealthy': {
    kind: 'internal',
    rule: 'the random source must pass its health tests (SP 800-90B section 4.4)',
    remedy: 'stop the service and replace the machine or its random source; do not use what it made lately',
  },
} as const satisfies Record<string, ErrorEntry>;
