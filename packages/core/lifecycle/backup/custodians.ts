import { z } from 'zod';
import { parseAgeRecipient } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';

/** The most custodians: every share stands in the signed manifest, which goes over the wire in one piece. */
export const MOST_CUSTODIANS = 16;

const CustodianSchema = z.strictObject({
  /** An operator of the same policy, with the role `custodian`. */
  name: z.string(),
  /** The key to which this person's shares are encrypted: `age1…` (X25519) or `age1tag1…` (P-256, also in a token or TPM). */
  recipient: z.string().max(128),
});

/** Who keeps the shares of a backup, and how many of them it takes to restore. REQ-KEY-BAK-02 */
export const BackupPolicySchema = z.strictObject({
  threshold: z.int().min(2).max(MOST_CUSTODIANS),
  custodians: z.array(CustodianSchema).min(2).max(MOST_CUSTODIANS),
});

export type BackupPolicy = z.infer<typeof BackupPolicySchema>;
export type BackupCustodian = BackupPolicy['custodians'][number];

/** What the rules need of the rest of the policy. */
export interface BackupRuleParts {
  readonly backup?: BackupPolicy;
  readonly operators: readonly { readonly name: string; readonly roles: readonly string[] }[];
  readonly quorums: { readonly restore: { readonly approvals: number } };
}

/**
 * Each custodian is a person of the policy in that role, with a key that is nobody else's; and a restore never takes
 * fewer people than its quorum.
 * @throws KeysteadError `policy.backup-custodian`, `policy.backup-threshold`, `backup.recipient-malformed`.
 */
export function checkBackupRules({ backup, operators, quorums }: BackupRuleParts): void {
  if (backup === undefined) return;
  const { threshold, custodians } = backup;
  const refuse = (index: number, seen: string): KeysteadError =>
    new KeysteadError('policy.backup-custodian', { field: `backup.custodians[${index}]`, seen });
  custodians.forEach(({ name, recipient }, index) => {
    const operator = operators.find((candidate) => candidate.name === name);
    if (operator === undefined) throw refuse(index, `${name}, who is no operator`);
    if (!operator.roles.includes('custodian')) throw refuse(index, `${name}, who is ${operator.roles.join(', ')}`);
    const twin = custodians.findIndex((other) => other.name === name || other.recipient === recipient);
    if (twin !== index) throw refuse(index, `${name} has the name or the key of ${custodians[twin]?.name}`);
    try {
      parseAgeRecipient(recipient);
    } catch (cause) {
      const seen = cause instanceof KeysteadError ? cause.seen : undefined;
      throw new KeysteadError('backup.recipient-malformed', {
        field: `backup.custodians[${index}].recipient`,
        seen,
        cause,
      });
    }
  });
  if (threshold > custodians.length || threshold < quorums.restore.approvals) {
    throw new KeysteadError('policy.backup-threshold', {
      field: 'backup.threshold',
      seen: `${threshold} of ${custodians.length} custodians, with quorums.restore.approvals ${quorums.restore.approvals}`,
    });
  }
}
