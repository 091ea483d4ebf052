import type { ErrorEntry } from '../entry.ts';

/** Backups, custodians, restores. */
export const BACKUP_ERRORS = {
  'backup.signing-key-forbidden': {
    kind: 'forbidden',
    rule: 'no signing key is ever backed up, escrowed or exported, sealed or not (REQ-KEY-BAK-01)',
    remedy: 'a lost issuing key is replaced by a later ceremony; docs/backup.md says how',
  },
  'backup.member-unknown': { kind: 'invalid', rule: 'a backup holds the files that are listed for it and no other' },
  'backup.not-configured': {
    kind: 'conflict',
    rule: 'the policy must name the custodians of backups',
    remedy: 'put `backup: {threshold, custodians}` into the policy; docs/backup.md shows it',
  },
  'backup.recipient-malformed': {
    kind: 'invalid',
    rule: 'a recipient is age1… (X25519) or age1tag1… (P-256), in lower case, with its checksum',
  },
  'backup.state-inconsistent': {
    kind: 'conflict',
    rule: "the records, the log and keyd's files must tell one history before they are backed up",
    remedy: 'run keystead audit verify',
  },
  'backup.exists': {
    kind: 'conflict',
    rule: 'a backup or a key is never written over a file that is there',
    remedy: 'name another file',
  },
  'backup.disk-full': {
    kind: 'unavailable',
    rule: 'the disk must have room; nothing was kept of what did not fit',
    remedy: 'make room, or name another disk, and begin again',
  },
  'backup.unreadable': { kind: 'not-found', rule: 'the backup file must exist and be readable' },
  'backup.malformed': { kind: 'invalid', rule: 'a backup file must have the form that keystead backup create writes' },
  'backup.damaged': {
    kind: 'invalid',
    rule: 'each byte of a backup must be the one that was signed',
    remedy: 'take another copy of this backup, or another backup',
  },
  'backup.signature-invalid': {
    kind: 'forbidden',
    rule: "the manifest must be signed by keyd's evidence key, which leads to the root that you trust",
    remedy: 'compare the root with the one of the ceremony',
  },
  'backup.custodian-unknown': {
    kind: 'forbidden',
    rule: 'a custodian must be one whom the policy, and so the manifest, names',
  },
  'backup.key-differs': {
    kind: 'unauthenticated',
    rule: 'a share opens only with the key that the policy names for its custodian',
  },
  'backup.share-malformed': { kind: 'invalid', rule: 'a share must have the form that the backup gave it' },
  'backup.share-foreign': {
    kind: 'conflict',
    rule: 'a share opens the backup that it was made for and no other',
    remedy: 'take the share out of this very backup file',
  },
  'backup.share-altered': { kind: 'invalid', rule: 'a share must be the one that the signed manifest commits to' },
  'backup.share-repeated': {
    kind: 'conflict',
    rule: 'each custodian counts once',
    remedy: 'ask another custodian',
  },
  'backup.response-foreign': {
    kind: 'conflict',
    rule: 'a response is encrypted to one restoring session and of no use to another',
    remedy: 'have the custodian open the share again, for the recipient that this session shows',
  },
  'backup.too-few-shares': {
    kind: 'forbidden',
    rule: 'a restore takes as many custodians as the policy says',
    remedy: 'ask more custodians',
  },
  'backup.shares-inconsistent': {
    kind: 'invalid',
    rule: 'the shares together must give the key to which this backup is encrypted',
  },
  'backup.target-not-empty': {
    kind: 'conflict',
    rule: 'a restore goes into an empty directory and overwrites nothing',
    remedy: 'name an empty directory with --to, or move the old one away',
  },
  'backup.older-than-state': {
    kind: 'conflict',
    rule: 'a backup never replaces a state that is newer than itself',
    remedy: 'keep the state that is there',
  },
  'backup.newest-unknown': {
    kind: 'conflict',
    rule: 'a restore must be told how far the log had come: an older log under the same key is a fork',
    remedy:
      "give the newest copy of the log's files with --log, or the newest checkpoint with --seen, or accept the loss",
  },
  'backup.older-than-seen': {
    kind: 'conflict',
    rule: 'the restored log must reach the newest checkpoint that anybody has',
    remedy: 'give a newer backup, or a copy of the log with --log; or have the loss accepted with --accept-loss',
  },
  'backup.crl-foreign': {
    kind: 'invalid',
    rule: 'a CRL from the field must be signed by one of the CAs of this backup',
  },
  'backup.log-differs': {
    kind: 'conflict',
    rule: 'the newer log must be proven from its files and continue the one in the backup',
  },
  'restore.pending': {
    kind: 'conflict',
    rule: 'a keyd that came out of a backup does nothing until the quorum of that backup has agreed to this restore',
    remedy:
      'have it signed with keystead backup sign-restore, bring the statements with keystead backup admit, and start keyd again, then serve (docs/backup.md)',
  },
  'restore.not-pending': { kind: 'conflict', rule: 'a quorum agrees to a restore that is pending, and once' },
  'restore-order.malformed': {
    kind: 'invalid',
    rule: 'a statement about a restore must have the one form that is signed',
  },
  'restore-order.signer-unknown': {
    kind: 'forbidden',
    rule: 'who signs must be an operator of the policy in the backup',
  },
  'restore-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who asks may ask for it, and who approves holds a role of the quorum restore of the policy in the backup',
  },
  'restore-order.signature-invalid': {
    kind: 'forbidden',
    rule: "the signature must be one of the operator's key in the policy in the backup",
  },
  'restore-order.other-order': {
    kind: 'invalid',
    rule: 'every statement must be about the very same restore, of the same proposer',
  },
  'restore-order.other-restore': {
    kind: 'forbidden',
    rule: 'statements open the one restore that they name, not another one of the same backup, and none after a drill',
    remedy: 'sign the order that this restore wrote: keystead backup sign-restore',
  },
  'restore-order.expired': {
    kind: 'forbidden',
    rule: 'no statement may have ended',
    remedy: 'have the order signed again by those whose statements have ended',
  },
  'restore-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'restore-order.too-long': { kind: 'invalid', rule: 'a statement ends within approvals.maxSeconds of the policy' },
  'restore-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'restore-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'restore-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as quorums.restore of the policy in the backup asks for',
    remedy: 'have others sign: keystead backup sign-restore',
  },
  'restore-order.impossible': {
    kind: 'conflict',
    rule: 'there must be people in the policy who can agree to a restore, or a backup is worth nothing',
    remedy: 'change quorums.restore, or who holds its roles, and make the backup then',
  },
} as const satisfies Record<string, ErrorEntry>;
