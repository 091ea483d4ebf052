import { KeysteadError } from '@keystead/core/errors';
import {
  caOf,
  custodyOf,
  firmwareIdOf,
  issuerOfKey,
  isTufKeystoreId,
  type KeyPurposeId,
  OPTIONAL_PURPOSES,
  type Policy,
  ROOT_CRL_KEY,
  TSA_KEY,
  trustIdOf,
} from '@keystead/core/lifecycle';
import type { KeyInfo } from '../keystore/index.ts';

/** What each key of keyd's keystore but those of the CAs is for, by its id there. */
const PURPOSES: Readonly<Record<string, KeyPurposeId>> = {
  evidence: 'evidence-signer',
  [ROOT_CRL_KEY]: 'root-crl-signer',
  [TSA_KEY]: 'tsa-signer',
  log: 'log',
  'log-cosign': 'log-cosign',
};

/** What a key of keyd's keystore is for, by its id there; undefined for one that is none of keyd's. */
export function purposeOfKey(id: string): KeyPurposeId | undefined {
  const issuer = issuerOfKey(id);
  if (firmwareIdOf(id) !== undefined) return 'firmware-signer';
  if (isTufKeystoreId(id)) return 'tuf-online';
  if (trustIdOf(id) !== undefined) return 'trust-bundle-signer';
  return issuer === undefined ? PURPOSES[id] : `${caOf(issuer)}-ca`;
}

/**
 * Each key of keyd lives where the policy lets it, in a module of the FIPS 140 level that the policy wants.
 * REQ-KEY-POL-01, REQ-KEY-STO-01
 * @throws KeysteadError `policy.custody-unmet` with the key.
 */
export function requireCustody(policy: Policy, keys: readonly Pick<KeyInfo, 'id' | 'custody' | 'fips140'>[]): void {
  for (const { id, custody, fips140 } of keys) {
    const purpose = purposeOfKey(id);
    if (purpose === undefined) continue;
    // A policy of before this key knows nothing of it, and by such a policy it signs nothing.
    if (OPTIONAL_PURPOSES.includes(purpose) && !policy.custody.some((rule) => rule.purpose === purpose)) continue;
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
