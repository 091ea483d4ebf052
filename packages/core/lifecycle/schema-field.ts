import type { z } from 'zod';

/**
 * The first thing that is wrong with a value, as an error names it: the field as people write it
 * (`operators[0].name`) and what is wrong there. `whole` names the value itself.
 */
export function firstIssue(error: z.ZodError, whole: string): { field: string; seen: string } {
  const issue = error.issues[0];
  if (issue === undefined) return { field: whole, seen: 'an unknown fault' };
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
  const field = path.reduce<string>(
    (name, part) => (typeof part === 'number' ? `${name}[${part}]` : `${name}${name === '' ? '' : '.'}${String(part)}`),
    '',
  );
  return { field: field === '' ? whole : field, seen: issue.message };
}
