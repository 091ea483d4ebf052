import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { KeysteadError } from '@keystead/core/errors';
import type { Queries } from './queries.ts';
import { Reader } from './reader.ts';
import { damageOf, mapStoreError } from './sqlite-errors.ts';
import { prepareAll } from './statement.ts';
import { Tx } from './transaction.ts';

/** The most pieces of work in one transaction: it bounds how long a COMMIT keeps the event loop. */
const GROUP_LIMIT = 512;

/** How a writer waits for a lock that another process holds. It waits between tries, and blocks nothing. */
export interface LockWait {
  readonly tries: number;
  readonly everyMs: number;
}

/** A connection as it reads. */
interface View {
  readonly database: DatabaseSync;
  readonly reader: Reader;
  readonly begin: StatementSync;
  readonly commit: StatementSync;
}

interface Job {
  run(tx: Tx): void;
  /** Called once, after the COMMIT or instead of it. */
  settle(failure: { readonly error: unknown } | undefined): void;
}

/**
 * The records. All work that arrives in one turn of the event loop shares a transaction (group commit), each in
 * a savepoint of its own, so that one fsync serves many and one failure undoes only itself.
 * Trusted for: what `commit` has resolved survives a crash and a power cut (WAL, synchronous=FULL). Not trusted
 * for: keeping the history honest; the audit log's files prove that without it.
 */
export class Store {
  readonly #writer: DatabaseSync;
  readonly #reading: DatabaseSync;
  readonly #tx: Tx;
  readonly #lockWait: LockWait;
  readonly #control: Record<
    'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'undo' | 'version',
    StatementSync
  >;
  readonly #ownView: View;
  readonly #separateView: View;
  /** The view of the snapshot that is open. */
  #open: View | undefined;
  #queue: Job[] = [];
  #scheduled = false;
  #lockedTries = 0;
  #failed: KeysteadError | undefined;
  #closing: (() => void) | undefined;
  #closed = false;
  #foreignChanges: number;

  /** For {@link openStore} only: two connections to one database that is checked and migrated. */
  constructor(connections: { writer: DatabaseSync; reader: DatabaseSync }, queries: Queries, lockWait: LockWait) {
    this.#writer = connections.writer;
    this.#reading = connections.reader;
    this.#tx = new Tx(prepareAll(this.#writer, queries));
    this.#lockWait = lockWait;
    this.#control = {
      begin: this.#writer.prepare('begin immediate'),
      commit: this.#writer.prepare('commit'),
      rollback: this.#writer.prepare('rollback'),
      savepoint: this.#writer.prepare('savepoint work'),
      release: this.#writer.prepare('release work'),
      undo: this.#writer.prepare('rollback to work'),
      version: this.#writer.prepare('pragma data_version'),
    };
    this.#ownView = viewOf(this.#writer, queries);
    this.#separateView = viewOf(this.#reading, queries);
    this.#foreignChanges = this.#dataVersion();
  }

  /**
   * Runs `work` and resolves with what it returned once its changes are durable. `work` is synchronous: it
   * must not await, since the work of others shares its transaction. When it throws, its changes are undone
   * and the promise rejects with what it threw.
   * @throws KeysteadError `store.locked`, `store.disk-full`, `store.corrupt`, `store.failed`, `store.closed`:
   *   then nothing of it was kept, and nothing may be acknowledged.
   */
  commit<T>(work: (tx: Tx) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed || this.#closing !== undefined) return reject(new KeysteadError('store.closed'));
      if (this.#failed !== undefined) return reject(this.#failed);
      let outcome: { value: T } | undefined;
      this.#queue.push({
        run: (tx) => {
          outcome = { value: work(tx) };
        },
        settle: (failure) => {
          if (failure !== undefined) reject(mapStoreError(failure.error));
          else if (outcome !== undefined) resolve(outcome.value);
        },
      });
      this.#schedule();
    });
  }

  /**
   * What `work` finds in one snapshot of what is committed. `work` must not await.
   * @throws KeysteadError `store.corrupt`, `store.failed`, `store.closed`
   */
  read<T>(work: (reader: Reader) => T): T {
    if (this.#closed) throw new KeysteadError('store.closed');
    try {
      if (this.#open !== undefined) return work(this.#open.reader);
      const view = this.#view();
      view.begin.run();
      this.#open = view;
      try {
        return work(view.reader);
      } finally {
        this.#open = undefined;
        if (view.database.isTransaction) view.commit.run();
      }
    } catch (error) {
      throw mapStoreError(error);
    }
  }

  /**
   * Between transactions the writer's connection sees exactly what is committed, and its pages stay in memory, where
   * each COMMIT empties the cache of every other connection. While it writes, or after it has failed, the second
   * connection reads.
   */
  #view(): View {
    return this.#writer.isTransaction || this.#failed !== undefined ? this.#separateView : this.#ownView;
  }

  /** Finishes the work that is queued, then closes both connections. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#queue.length > 0) await new Promise<void>((resolve) => (this.#closing = resolve));
    this.#closed = true;
    this.#reading.close();
    this.#writer.close();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const group = this.#queue.splice(0, GROUP_LIMIT);
    if (!this.#begin(group)) return;
    const undone = new Map<Job, { error: unknown }>();
    try {
      if (this.#dataVersion() !== this.#foreignChanges) {
        this.#tx.reloadHead();
        this.#foreignChanges = this.#dataVersion();
      }
      for (const job of group) {
        const failure = this.#runOne(job);
        if (failure !== undefined) undone.set(job, failure);
      }
      this.#control.commit.run();
    } catch (error) {
      this.#abort(group, undone, error);
      return;
    }
    for (const job of group) job.settle(undone.get(job));
    this.#next();
  }

  /** @returns false when the lock is held elsewhere: the group waits, or has been told that it failed. */
  #begin(group: Job[]): boolean {
    try {
      this.#control.begin.run();
      this.#lockedTries = 0;
      return true;
    } catch (error) {
      if (damageOf(error) === 'busy' && this.#lockedTries < this.#lockWait.tries) {
        this.#lockedTries += 1;
        this.#queue.unshift(...group);
        this.#scheduled = true;
        setTimeout(() => this.#flush(), this.#lockWait.everyMs);
        return false;
      }
      this.#lockedTries = 0;
      this.#abort(group, new Map(), error);
      return false;
    }
  }

  /** Runs one piece of work in its savepoint. @throws what ends the whole transaction. */
  #runOne(job: Job): { error: unknown } | undefined {
    const head = this.#tx.lastAudit();
    this.#control.savepoint.run();
    try {
      job.run(this.#tx);
    } catch (error) {
      // Where SQLite itself has rolled back, or may not be relied on, there is no savepoint to go back to.
      if (!this.#writer.isTransaction || damageOf(error) !== 'statement') throw error;
      this.#control.undo.run();
      this.#control.release.run();
      this.#tx.restoreHead(head);
      return { error };
    }
    this.#control.release.run();
    return undefined;
  }

  #abort(group: Job[], undone: Map<Job, { error: unknown }>, error: unknown): void {
    let damage = damageOf(error);
    try {
      if (this.#writer.isTransaction) this.#control.rollback.run();
      this.#tx.reloadHead();
    } catch (second) {
      damage = damageOf(second) === 'busy' ? damage : 'store';
    }
    if (damage === 'store') {
      const mapped = mapStoreError(error);
      this.#failed = mapped instanceof KeysteadError ? mapped : new KeysteadError('store.failed', { cause: error });
    }
    for (const job of group) job.settle(undone.get(job) ?? { error });
    if (this.#failed !== undefined) {
      for (const job of this.#queue.splice(0)) job.settle({ error: this.#failed });
    }
    this.#next();
  }

  #next(): void {
    if (this.#queue.length > 0) this.#schedule();
    else this.#closing?.();
  }

  /** A number that changes when another process has changed the database (sqlite.org/pragma.html). */
  #dataVersion(): number {
    return Number(this.#control.version.get()?.data_version);
  }
}

const viewOf = (database: DatabaseSync, queries: Queries): View => ({
  database,
  reader: new Reader(prepareAll(database, queries)),
  begin: database.prepare('begin'),
  commit: database.prepare('commit'),
});
