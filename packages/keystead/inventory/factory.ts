import type { KeyStep } from '@keystead/core/lifecycle';
import { z } from 'zod';
import type { Reader, Tx } from '../store/index.ts';

/** What headquarters knows of the keys of a factory node: its request says it, and nobody has attested it. */
const FactoryKeysSchema = z.strictObject({
  custody: z.enum(['sealed-file', 'pkcs11', 'tpm2']),
  /** When the node was closed, milliseconds; null where it works. */
  closedAt: z.number().nullable(),
});
export type FactoryKeys = z.infer<typeof FactoryKeysSchema>;

const metaKey = (factory: string): string => `factory.keys.${factory}`;
const OWNER = 'factory:';

/** Whether the keys of a factory have this owner. */
export const isOfFactory = (owner: string): boolean => owner.startsWith(OWNER);

/** Keeps where a factory has its keys; what is known changes nothing. */
export function keepFactoryKeys(tx: Tx, factory: string, keys: FactoryKeys): void {
  const text = JSON.stringify(keys);
  if (tx.meta(metaKey(factory)) !== text) tx.setMeta(metaKey(factory), text);
}

/** What is known of the keys of this owner; undefined for an owner that is no factory. */
export function factoryKeysOf(records: Reader, owner: string): FactoryKeys | undefined {
  const text = isOfFactory(owner) ? records.meta(metaKey(owner.slice(OWNER.length))) : undefined;
  return text === undefined ? undefined : FactoryKeysSchema.parse(JSON.parse(text));
}

/** A closed factory's keys sign nothing more. */
export const factorySteps = (keys: FactoryKeys | undefined): KeyStep[] =>
  keys === undefined || keys.closedAt === null ? [] : [{ event: 'deactivate', at: keys.closedAt }];
