import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const RequirementSchema = z.strictObject({
  id: z.string().regex(/^REQ-KEY-[A-Z]+-\d\d$/),
  test: z.string().regex(/^TEST-KEY-\d\d$/),
  text: z.string().min(1),
  seen: z.string().min(1),
  links: z.array(z.string()).min(1),
  /** Set until code and test exist; the trace check then demands both. */
  status: z.literal('planned').optional(),
  /** What of a planned requirement stands already, and what is missing. */
  note: z.string().optional(),
});

/** One requirement of `requirements.yaml`. Ids are stable: never renumbered, only added. */
export type Requirement = z.infer<typeof RequirementSchema>;

/**
 * Reads and checks `requirements.yaml`.
 * @throws ZodError naming the field when an entry is malformed; Error when an id stands twice.
 */
export function readRequirements(path: string): Requirement[] {
  const requirements = z.array(RequirementSchema).parse(parse(readFileSync(path, 'utf8')));
  for (const key of ['id', 'test'] as const) {
    const seen = new Set<string>();
    for (const requirement of requirements) {
      if (seen.has(requirement[key])) throw new Error(`${path}: ${key} ${requirement[key]} stands twice`);
      seen.add(requirement[key]);
    }
  }
  return requirements;
}
