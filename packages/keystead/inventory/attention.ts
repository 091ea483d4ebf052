import { attentionOf, isInAllowedCustody, type KeyRecord, type Policy } from '@keystead/core/lifecycle';
import type { AppendAudit } from '../access/index.ts';
import type { Reader, Store } from '../store/index.ts';
import { isOfFactory } from './factory.ts';
import { Inventory } from './inventory.ts';

/** A key that somebody must do something about. */
export interface KeyWarning {
  readonly level: 'due' | 'overdue';
  readonly why: string;
  readonly record: KeyRecord;
}

/**
 * The keys whose cryptoperiod ends soon or has ended without a successor, that are suspended, compromised, or live
 * where the policy does not let them. Devices' keys are left out: a device renews its own, and one that lies switched
 * off in a store is not overdue. REQ-KEY-POL-01
 */
export function keyWarnings(records: Reader, policy: Policy, now: Date): KeyWarning[] {
  const warnings: KeyWarning[] = [];
  for (const record of new Inventory(records, policy, now).ofTheHouse()) {
    const { level, why } = attentionOf(record, policy, now);
    if (level !== 'none') warnings.push({ level, why, record });
    else if (isMisplaced(record, policy)) {
      warnings.push({ level: 'overdue', why: `the policy does not let it live in: ${record.custody}`, record });
    }
  }
  return warnings.toSorted((a, b) => Number(a.level === 'due') - Number(b.level === 'due'));
}

/** Only of a key that is in use, and of which the house itself knows where it lives. */
const isMisplaced = (record: KeyRecord, policy: Policy): boolean =>
  record.state === 'active' &&
  record.custody !== 'not attested' &&
  !isOfFactory(record.owner) &&
  !isInAllowedCustody(record, policy);

/** Which warnings were given already stands here, by key: so each is given once, also across restarts. */
const given = ({ record }: KeyWarning): string => `key.warned ${record.id}`;
const what = ({ level, why }: KeyWarning): string => `${level}: ${why}`;

/**
 * Writes each warning that was not given before into the audit log, in one transaction.
 * @returns those that are new.
 */
export async function auditWarnings(
  store: Store,
  audit: AppendAudit,
  policy: Policy,
  now: Date,
): Promise<KeyWarning[]> {
  const isNew = (records: Reader) => (warning: KeyWarning) => records.meta(given(warning)) !== what(warning);
  const fresh = store.read((records) => keyWarnings(records, policy, now).filter(isNew(records)));
  if (fresh.length === 0) return [];
  return store.commit((tx) => {
    const unsaid = fresh.filter(isNew(tx));
    for (const warning of unsaid) {
      const { record, level, why } = warning;
      audit(tx, {
        type: `key.${level}`,
        actor: { kind: 'system', id: 'inventory' },
        requestId: 'inventory',
        outcome: 'done',
        subject: { key: record.id, ...(record.spkiSha256 === null ? {} : { spkiSha256: record.spkiSha256 }) },
        detail: { purpose: record.purpose, owner: record.owner, why },
      });
      tx.setMeta(given(warning), what(warning));
    }
    return unsaid;
  });
}
