import { KeysteadError } from '../errors/index.ts';
import { checkFirmwareRules } from './firmware/rules.ts';
import { checkTufRules } from './firmware/tuf.ts';
import { checkKeyingRules } from './keying-rules.ts';
import { type Policy, PolicySchema } from './policy.ts';
import { checkPolicyRules } from './policy-rules.ts';
import { firstIssue } from './schema-field.ts';
import { checkTrustRules } from './trust/rules.ts';

/**
 * Checks a parsed JSON value against the form of a policy and against the rules that hold between its parts.
 * @throws KeysteadError `policy.malformed` with the field and what is wrong with it, or the code of the
 *   broken rule (`policy.*`), also with the field.
 */
export function checkPolicy(value: unknown): Policy {
  requireSections(value);
  const parsed = PolicySchema.safeParse(value);
  if (!parsed.success) {
    throw new KeysteadError('policy.malformed', { ...firstIssue(parsed.error, 'policy'), cause: parsed.error });
  }
  checkPolicyRules(parsed.data);
  checkKeyingRules(parsed.data);
  checkFirmwareRules(parsed.data);
  checkTufRules(parsed.data);
  checkTrustRules(parsed.data);
  return parsed.data;
}

/** The parts that came later than the first policies. */
const LATER_SECTIONS = ['cryptoperiods', 'custody', 'strengths', 'quorums', 'grace'];

/** A policy of an earlier version of this program is whole in its way: it deserves better than a list of missing fields. */
function requireSections(value: unknown): void {
  if (typeof value !== 'object' || value === null || !('profiles' in value)) return;
  const missing = LATER_SECTIONS.filter((section) => !(section in value));
  if (missing.length === LATER_SECTIONS.length) {
    throw new KeysteadError('policy.outdated-form', { field: 'policy', seen: `no ${missing.join(', ')}` });
  }
}

/**
 * Reads a policy from the bytes of its JSON file (UTF-8).
 * @throws KeysteadError as {@link checkPolicy} does; `policy.malformed` also when it is not JSON.
 */
export function parsePolicy(bytes: Uint8Array): Policy {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KeysteadError('policy.malformed', { field: 'policy', seen: 'something that is not UTF-8 JSON', cause });
  }
  return checkPolicy(value);
}

/** The bytes of a policy's file: JSON for people, UTF-8. Its SHA-256 is what a ceremony approves. */
export const formatPolicy = (policy: Policy): string => `${JSON.stringify(policy, null, 2)}\n`;
