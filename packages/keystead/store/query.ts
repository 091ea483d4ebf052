import { fromHex } from '@keystead/core/bytes';
import type { Compilable, Kysely } from 'kysely';
import type { Schema } from './schema.ts';

/** A value that a query is not compiled with but run with, in the place where kysely would put a parameter. */
class Slot {
  readonly name: string;
  /** Whether the argument is hex and the column holds bytes. */
  readonly hex: boolean;
  constructor(name: string, hex: boolean) {
    this.name = name;
    this.hex = hex;
  }
}

/** In a query that is being built: the bytes of an argument that is hex (or null). */
export function bytesOf(hex: string): Uint8Array;
export function bytesOf(hex: string | null): Uint8Array | null;
export function bytesOf(hex: string | null): Uint8Array | null {
  const standIn: unknown = hex;
  if (!(standIn instanceof Slot)) throw new TypeError('bytesOf takes an argument of the query that is being built');
  const slot: unknown = new Slot(standIn.name, true);
  return slot as Uint8Array;
}

/** A compiled query: text with placeholders, and for each placeholder the argument or the constant. */
export interface Query<A, O> {
  readonly sql: string;
  /** The values of the placeholders, in order, for these arguments. */
  bind(args: A): unknown[];
  /** Never set: it carries the type of a row. */
  readonly row?: O;
}

/**
 * Compiles a query once. `build` is written with kysely as if each argument were known; it sees a stand-in for
 * each, and the text that comes out is the same for ever after. So the issuing path builds no SQL.
 */
export function compileQuery<A extends object>(db: Kysely<Schema>) {
  return <O>(build: (db: Kysely<Schema>, args: A) => Compilable<O>): Query<A, O> => {
    const standIns = new Proxy({} as A, { get: (_target, name) => new Slot(String(name), false) });
    const { sql, parameters } = build(db, standIns).compile();
    const constants = parameters.map((parameter) => (parameter instanceof Slot ? undefined : parameter));
    const slots = parameters.map((parameter) => (parameter instanceof Slot ? parameter : undefined));
    return {
      sql,
      bind(args) {
        const given = args as Record<string, unknown>;
        return slots.map((slot, index) => {
          if (slot === undefined) return constants[index];
          const value = given[slot.name] ?? null;
          return slot.hex && typeof value === 'string' ? fromHex(value) : value;
        });
      },
    };
  };
}
