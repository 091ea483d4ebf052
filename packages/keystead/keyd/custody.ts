import { KeysteadError } from '@keystead/core/errors';
import { custodyOf, type KeyPurposeId, type Policy } from '@keystead/core/lifecycle';
import type { KeyInfo } from '../keystore/index.ts';

/** What each key of keyd's keystore is for, by its id there. */
const PURPOSES: Readonly<Record<string, KeyPurposeId>> = {
  'ca-manufacturing': 'manufacturing-ca',
  'ca-operational': 'operational-ca',
  'ca-server': 'server-ca',
  'ca-operator': 'operator-ca',
  evidence: 'evidence-signer',
  log: 'log',
  'log-cosign': 'log-cosign',
};

/**
 * Each key of keyd lives where the policy lets it, in a module of the FIPS 140 level that the policy wants.
 * REQ-KEY-POL-01, REQ-KEY-STO-01
 * @throws KeysteadError `policy.custody-unmet` with the key.
 */
export function requireCustody(policy: Policy, keys: readonly Pick<KeyInfo, 'id' | 'custody' | 'fips140'>[]): void {
  for (const { id, custody, fips140 } of keys) {
    // A successor of a CA's key has the number of its generation behind the name.
    const purpose = PURPOSES[id.replace(/-\d+$/, '')];
    if (purpose === undefined) continue;
    const rule = custodyOf(policy, purpose);
    const field = `custody of '${purpose}'`;
    if (!rule.allowed.includes(custody)) {
      throw new KeysteadError('policy.custody-unmet', {
        field,
        seen: `${id} in ${custody}, where ${rule.allowed.join(', ')} is allowed`,
      });
    }
    if (rule.fips140 !== 'none' && levelOf(fips140) < rule.fips140) {
      throw new KeysteadError('policy.custody-unmet', {
        field,
        seen: `${id} in a module with FIPS 140 '${fips140}', where level ${rule.fips140} is wanted`,
      });
    }
  }
}

/** A keystore names its module in words; a level that it does not name is not believed. */
function levelOf(fips140: string): number {
  if (fips140 === 'none') return 0;
  return Number(/level\s*([1-4])/i.exec(fips140)?.[1] ?? 0);
}
