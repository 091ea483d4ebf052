import type { ErrorEntry } from '../entry.ts';

/** The key service. */
export const KEYD_ERRORS = {
  'keyd.not-ready': {
    kind: 'unavailable',
    rule: 'keyd must have imported the bundle of its ceremony',
    remedy: 'run the ceremony on its request and import the bundle',
  },
  'keyd.counter-failed': {
    kind: 'unavailable',
    rule: 'no unit is given out whose count the monotonic counter does not cover',
    remedy: 'see that its TPM or token is there and answers, then ask again with the same unit',
  },
  'keyd.journal-rolled-back': {
    kind: 'forbidden',
    rule: 'no unit is given out by a journal that is older than its monotonic counter: an older disk was put back',
    remedy: 'put the newest disk back; where it is lost, operators order a recount (keystead recount)',
  },
  'keyd.counter-replaced': {
    kind: 'forbidden',
    rule: 'no unit is given out where the monotonic counter is behind the journal: its TPM or token was changed or cleared',
    remedy: 'put the module back; where it is lost, operators order a recount (keystead recount)',
  },
  'keyd.counter-missing': {
    kind: 'forbidden',
    rule: 'a journal that was tied to a monotonic counter takes no unit without one',
    remedy:
      'put counter.json back; where its counter is lost, make another (keystead keystore counter init) and have operators order a recount',
  },
  'keyd.unreachable': {
    kind: 'unavailable',
    rule: 'keyd must be reachable',
    remedy: 'see that keystead keyd is running, then ask again with the same request',
  },
  'keyd.unauthenticated': {
    kind: 'unauthenticated',
    rule: 'both ends of a connection to keyd must prove that they hold the same channel key',
    remedy: 'start keyd and its front end by the same supervisor',
  },
  'keyd.frame-refused': { kind: 'invalid', rule: 'a frame must be whole, authentic and at most 8 MiB' },
  'keyd.bad-answer': { kind: 'internal', rule: 'the answer of keyd must have the form of its protocol' },
  'keyd.stopping': { kind: 'unavailable', rule: 'keyd is stopping and takes no more requests' },
  'keyd.already-running': {
    kind: 'conflict',
    rule: 'one data directory has one keyd at a time',
    remedy: 'stop the other one',
  },
  'keyd.directory-exposed': {
    kind: 'forbidden',
    rule: 'the directory of the socket of keyd belongs to its user and is closed to all others (mode 0700; its group may pass through)',
  },
  'keyd.secrets-malformed': {
    kind: 'invalid',
    rule: 'the supervisor gives keyd a passphrase and a channel key of 32 bytes',
  },
  'keyd.journal-damaged': {
    kind: 'unavailable',
    rule: 'the files of keyd must be whole: quotas and the log depend on them',
    remedy: 'restore them from a backup, then compare with the audit log',
  },
  'keyd.journal-failed': {
    kind: 'unavailable',
    rule: 'nothing is signed that cannot be written to the journal first',
    remedy: 'free some space on the disk and try again',
  },
  'keyd.signature-faulty': {
    kind: 'internal',
    rule: 'a signature must verify before it leaves keyd',
    remedy: 'take the machine out of service: its processor or memory is faulty',
  },
  'state.missing': { kind: 'not-found', rule: 'the directory must hold a device state' },
  'state.key-held': {
    kind: 'unsupported',
    rule: 'a key that a TPM or a token holds signs there and is never lent; node:tls takes no such key',
    remedy:
      'use it for requests and attestation; connect with a key that the state holds (docs/tpm2.md, docs/agent.md)',
  },
  'state.exists': { kind: 'conflict', rule: 'a device state is created once', remedy: 'open it instead' },
  'state.rolled-back': {
    kind: 'conflict',
    rule: 'the device state must be the newest that its hardware counter has counted',
    remedy:
      'an older copy was put in its place: have `keystead-agent recover` give up its credentials and enrol again by the IDevID, or return the device to service',
  },
  'state.damaged': {
    kind: 'internal',
    rule: 'the device state must be whole and sealed by this device',
    remedy: 'return the device to service; its identity cannot be read',
  },
  'state.locked': { kind: 'conflict', rule: 'one agent at a time works on a device state' },
  'state.wiped': {
    kind: 'conflict',
    rule: 'a wiped device has no keys',
    remedy: 'provision it again in a new directory',
  },
  'state.permissions': { kind: 'forbidden', rule: 'nobody but its owner may enter the state directory (mode 0700)' },
  'state.no-credential': { kind: 'not-found', rule: 'the device must hold the credential that this step needs' },
} as const satisfies Record<string, ErrorEntry>;
