import type { ErrorEntry } from '../entry.ts';

/** The audit log, its checkpoints, and provisioning records. */
export const AUDIT_ERRORS = {
  'log.size-mismatch': {
    kind: 'conflict',
    rule: 'leaves are appended at the end of the log, or were appended before exactly so',
  },
  'log.malformed': { kind: 'internal', rule: 'the files of the log must have the form of C2SP tlog-tiles' },
  'log.out-of-range': { kind: 'invalid', rule: 'the log must hold what is asked for' },
  'log.entry-too-large': { kind: 'too-large', rule: 'an entry of the log has at most 65535 bytes' },
  'log.entry-malformed': { kind: 'internal', rule: 'an entry of the log must be a canonical audit entry' },
  'log.proof-invalid': { kind: 'invalid', rule: 'the proof must lead from its entry to a signed checkpoint' },
  'log.damaged': {
    kind: 'internal',
    rule: 'the published log must be the one that its checkpoint signs; nothing more is published',
    remedy: 'run keystead audit verify; if only the files are damaged, move the log directory away: it is made anew',
  },
  'log.diverged': {
    kind: 'internal',
    rule: 'the database must hold exactly the entries that were signed',
    remedy: 'run keystead audit verify, which names the first entry that differs',
  },
  'log.signer-slow': {
    kind: 'unavailable',
    rule: 'a checkpoint must be signed within seconds of reading the entries, or its time proves nothing',
  },
  'note.malformed': { kind: 'invalid', rule: 'a signed note must have the form of C2SP signed-note' },
  'note.key-malformed': {
    kind: 'invalid',
    rule: 'a verifier key is name+id+base64 of an Ed25519 key (C2SP signed-note)',
  },
  'note.unknown-key': { kind: 'forbidden', rule: 'the note must be signed by the keys that are trusted for it' },
  'note.signature-invalid': { kind: 'forbidden', rule: 'every signature by a known key must verify' },
  'checkpoint.malformed': {
    kind: 'invalid',
    rule: 'a checkpoint is origin, size and root hash (C2SP tlog-checkpoint)',
  },
  'record.unproven': {
    kind: 'invalid',
    rule: 'a provisioning record must be signed, and its entry must be in the log',
  },
  'record.export-damaged': {
    kind: 'invalid',
    rule: 'an export must be whole: every file that SHA256SUMS lists, as it was written, and no other',
    remedy: 'run the same export again: it goes on where it was cut off; take nothing from one that was changed',
  },
  'record.export-exists': {
    kind: 'conflict',
    rule: 'an export is written into a directory that is empty, or that holds the beginning of the same export',
    remedy: 'name another directory with --out',
  },
  'record.not-in-log-yet': {
    kind: 'unavailable',
    rule: 'a record is proven by the published log, which follows within seconds',
    remedy: 'try again in a few seconds',
  },
} as const satisfies Record<string, ErrorEntry>;
