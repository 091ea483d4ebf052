import { KeysteadError } from '../errors/index.ts';
import { type Policy, PolicySchema } from './policy.ts';
import { checkPolicyRules } from './policy-rules.ts';
import { firstIssue } from './schema-field.ts';

/**
 * Checks a parsed JSON value against the form of a policy and against the rules that hold between its parts.
 * @throws KeysteadError `policy.malformed` with the field and what is wrong with it, or the code of the
 *   broken rule (`policy.*`), also with the field.
 */
export function checkPolicy(value: unknown): Policy {
  const parsed = PolicySchema.safeParse(value);
  if (!parsed.success) {
    throw new KeysteadError('policy.malformed', { ...firstIssue(parsed.error, 'policy'), cause: parsed.error });
  }
  checkPolicyRules(parsed.data);
  return parsed.data;
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
