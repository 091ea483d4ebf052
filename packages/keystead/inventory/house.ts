import { cryptoperiodOf, type KeyEvidence, type KeyRecord, type Policy, usagePeriods } from '@keystead/core/lifecycle';
import type { KeyRow } from '../store/index.ts';
import { standingOf } from './enter.ts';

/** The record of a key that has a row of its own. Its periods are those of the policy in force. REQ-KEY-POL-01 */
export function houseKey(policy: Policy, row: KeyRow): KeyRecord {
  const { id, spkiSha256, purpose, algorithm, strengthBits, custody, fips140, owner, successor } = row;
  const { state, dates } = standingOf(row);
  const { activatedAt, certificateEnd } = row;
  const periods =
    activatedAt === null
      ? { originatorEnd: null, recipientEnd: null }
      : usagePeriods(cryptoperiodOf(policy, purpose), activatedAt, certificateEnd ?? undefined);
  return {
    ...{ id, spkiSha256, purpose, algorithm, strengthBits, custody, fips140, owner, successor },
    state,
    dates,
    ...periods,
    evidence: JSON.parse(row.evidence) as KeyEvidence,
  };
}
