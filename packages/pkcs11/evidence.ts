import { KeysteadError } from '@keystead/core/errors';
import { CKM } from './cryptoki.ts';
import type { Attributes, TokenFacts } from './orders.ts';

/** The attributes that are read back, and what each must be where the token tells it. */
const DEMANDED: Readonly<Record<string, boolean>> = {
  CKA_TOKEN: true,
  CKA_PRIVATE: true,
  CKA_SENSITIVE: true,
  CKA_ALWAYS_SENSITIVE: true,
  CKA_EXTRACTABLE: false,
  CKA_NEVER_EXTRACTABLE: true,
  CKA_LOCAL: true,
};
/** Without these two there is no proof: a token that does not tell them is refused. */
const REQUIRED = ['CKA_SENSITIVE', 'CKA_EXTRACTABLE'];

/**
 * Refuses a key that the token did not keep as it was asked to: sensitive, never extractable, made on the token.
 * REQ-KEY-STO-01, REQ-KEY-BAK-01
 * @throws KeysteadError `keystore.key-exposed` naming the attribute.
 */
export function requireKept(id: string, attributes: Attributes): void {
  for (const [name, wanted] of Object.entries(DEMANDED)) {
    const seen = attributes[name];
    if (seen === wanted || (seen === undefined && !REQUIRED.includes(name))) continue;
    throw new KeysteadError('keystore.key-exposed', { field: `key ${id}`, seen: `${name} ${seen ?? 'not told'}` });
  }
}

const MECHANISM_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(CKM).map(([name, value]) => [value, `CKM_${name}`]),
);

/** The evidence of a key's record: its attributes and the token that showed them, as CK_TOKEN_INFO and CK_INFO name it. */
export function evidenceOf(attributes: Attributes, facts: TokenFacts): Record<string, string | number | boolean> {
  const evidence: Record<string, string | number | boolean> = { ...attributes };
  const mechanism = attributes.CKA_KEY_GEN_MECHANISM;
  if (typeof mechanism === 'number') {
    evidence.CKA_KEY_GEN_MECHANISM = MECHANISM_NAMES.get(mechanism) ?? `0x${mechanism.toString(16)}`;
  }
  for (const [name, value] of Object.entries(facts.token)) evidence[`token.${name}`] = value;
  for (const [name, value] of Object.entries(facts.module)) evidence[`module.${name}`] = value;
  return evidence;
}
