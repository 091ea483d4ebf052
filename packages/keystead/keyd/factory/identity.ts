import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { factoryName, firstIssue } from '@keystead/core/lifecycle';
import { z } from 'zod';
import type { Layout } from '../../files/layout.ts';

const IdentitySchema = z.strictObject({
  version: z.literal(1),
  /** How this node is called, everywhere and for good. */
  name: factoryName,
  /** The name of its audit log (C2SP tlog-checkpoint). */
  origin: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9./-]{0,127}$/, 'must be 1 to 128 letters, digits, . / -'),
});
export type FactoryIdentity = z.infer<typeof IdentitySchema>;

/** Says that this keyd is one of a factory: written before its first key, in keyd's own directory. */
export const identityPath = (layout: Layout): string => join(layout.keyd, 'factory.json');

/** @throws KeysteadError `config.malformed` with the field. */
export function checkIdentity(value: unknown, field: string): FactoryIdentity {
  const parsed = IdentitySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = firstIssue(parsed.error, 'the file');
  throw new KeysteadError('config.malformed', { field: `${field} ${issue.field}`, seen: issue.seen });
}

/**
 * Which factory this data directory is of; undefined at headquarters.
 * @throws KeysteadError `config.malformed` when the file is damaged: that is not the same as none.
 */
export function readIdentity(layout: Layout): FactoryIdentity | undefined {
  const path = identityPath(layout);
  if (!existsSync(path)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new KeysteadError('config.malformed', { field: path, seen: 'something that is not JSON', cause });
  }
  return checkIdentity(value, path);
}

/** @throws KeysteadError `factory.not-a-node`, `config.malformed`. */
export function requireIdentity(layout: Layout): FactoryIdentity {
  const identity = readIdentity(layout);
  if (identity === undefined) throw new KeysteadError('factory.not-a-node', { field: 'data', seen: layout.data });
  return identity;
}
