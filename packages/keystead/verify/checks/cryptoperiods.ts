import { readFileSync } from 'node:fs';
import { parsePolicy } from '@keystead/core/lifecycle';
import { Inventory, keyWarnings } from '../../inventory/index.ts';
import { readOnly } from '../../store/index.ts';
import { type Check, failed, passed } from '../check.ts';

/** REQ-KEY-POL-01: no key of the house is used, or left without a successor, past its time. */
const cryptoperiods: Check = {
  id: 'keys.cryptoperiods',
  requirements: ['REQ-KEY-POL-01'],
  text: 'no key is past its cryptoperiod, suspended for too long, compromised without a successor, or where the policy does not let it live',
  async run({ layout, clock }) {
    const policy = parsePolicy(readFileSync(layout.policy));
    const now = clock.now();
    const { warnings, keys } = readOnly(layout.database, (records) => ({
      warnings: keyWarnings(records, policy, now),
      keys: [...new Inventory(records, policy, now).ofTheHouse()].length,
    }));
    const told = (level: string): string[] =>
      warnings.filter((one) => one.level === level).map(({ record, why }) => `${record.id} (${record.owner}): ${why}`);
    const due = told('due');
    const overdue = told('overdue');
    if (overdue.length > 0) return failed(overdue.join('; '));
    return passed(`${keys} keys of the house; ${due.length === 0 ? 'none is due' : `due: ${due.join('; ')}`}`);
  },
};

export const KEY_CHECKS: readonly Check[] = [cryptoperiods];
