import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { Query } from './query.ts';

/** A query that is prepared on one connection. It is prepared when it is first run: most connections need few. */
export class Statement<A, O> {
  readonly #database: DatabaseSync;
  readonly #query: Query<A, O>;
  #prepared: StatementSync | undefined;

  constructor(database: DatabaseSync, query: Query<A, O>) {
    this.#database = database;
    this.#query = query;
  }

  get #statement(): StatementSync {
    this.#prepared ??= this.#database.prepare(this.#query.sql);
    return this.#prepared;
  }

  /** The first row, or undefined. */
  first(args: A): O | undefined {
    const row: unknown = this.#statement.get(...(this.#query.bind(args) as SQLInputValue[]));
    return row as O | undefined;
  }

  /** Every row, in the order of the query. */
  all(args: A): O[] {
    const rows: unknown = this.#statement.all(...(this.#query.bind(args) as SQLInputValue[]));
    return rows as O[];
  }

  /** How many rows were changed. */
  run(args: A): number {
    return Number(this.#statement.run(...(this.#query.bind(args) as SQLInputValue[])).changes);
  }
}

/** Each query of `queries` as a statement of `database`. */
export function prepareAll<Q extends Record<string, Query<never, unknown>>>(
  database: DatabaseSync,
  queries: Q,
): Prepared<Q> {
  return Object.fromEntries(
    Object.entries(queries).map(([name, query]) => [name, new Statement(database, query)]),
  ) as Prepared<Q>;
}

export type Prepared<Q> = {
  readonly [Name in keyof Q]: Q[Name] extends Query<infer A, infer O> ? Statement<A, O> : never;
};
