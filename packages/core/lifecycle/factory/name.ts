import { z } from 'zod';

/** How headquarters is called where a factory's name could stand. */
export const HEADQUARTERS = 'headquarters';

/** What a factory node may be called: the name stands in certificates, addresses and file names. */
export const FACTORY_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

export const factoryName = z
  .string()
  .regex(FACTORY_NAME, 'must be 1 to 32 of a-z 0-9 - and begin with a letter or digit')
  .refine((name) => name !== HEADQUARTERS, 'must not be headquarters');

/**
 * Who issued an IDevID, as headquarters knows the manufacturing sub-CA of a factory node: `factory.berlin-1`. The name
 * never passes to another key: a node that is made anew gets a name of its own.
 */
export type FactoryIssuerId = `factory.${string}`;

export const factoryIssuerId = (factory: string): FactoryIssuerId => `factory.${factory}`;

/** The factory of such an issuer; undefined for every other issuer. */
export function factoryOfIssuer(issuer: string): string | undefined {
  const [, name] = /^factory\.(.+)$/.exec(issuer) ?? [];
  return name !== undefined && factoryName.safeParse(name).success ? name : undefined;
}
