import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  readRole,
  type TufEnvelope,
  type TufRole,
  type TufRoot,
  type TufSigned,
  type TufSnapshot,
  type TufTimestamp,
} from '@keystead/core/firmware';
import type { JournalEntry } from './journal-entry.ts';
import { Queue } from './queue.ts';
import type { TufRootJournalEntry, TufStatusJournalEntry } from './tuf-entries.ts';

/** Metadata as it was signed, with the bytes that are published. */
export interface SignedFile<S extends TufSigned> extends TufEnvelope<S> {
  readonly bytes: Uint8Array;
}

/** What keyd signed last for a repository. */
export interface TufStatus {
  readonly snapshot: SignedFile<TufSnapshot>;
  readonly timestamp: SignedFile<TufTimestamp>;
}

/** An update repository as keyd knows it. */
export interface KnownRepository {
  /** SHA-256 of the file of its first root, hex. */
  readonly firstRoot: string;
  /** The newest that keyd has taken. */
  readonly root: TufRoot;
  readonly status?: TufStatus;
}

/**
 * The update repositories whose online roles keyd signs: the root in force of each, and what was signed last, again from
 * the journal at each start. No front end brings back an older root, older targets or an older version. REQ-KEY-STO-03
 */
export class TufRepositories {
  /** One after the other is judged and signed. */
  readonly queue = new Queue();
  readonly #known = new Map<string, KnownRepository>();
  readonly #raised = new Map<string, number>();

  /** @param raises how often this journal was restored or put back, as of the entry. */
  replay(entry: JournalEntry, raises: number): void {
    if (entry.kind === 'tuf-root') this.takeRoot(entry);
    if (entry.kind === 'tuf-status') this.takeStatus(entry, raises);
  }

  /** Takes a root into account whose entry is durable. */
  takeRoot({ repository, sha256, root }: Pick<TufRootJournalEntry, 'repository' | 'sha256' | 'root'>): void {
    const before = this.#known.get(repository);
    const { signed } = readRole('root', fromBase64(root));
    this.#known.set(repository, { firstRoot: sha256, ...before, root: signed });
  }

  /** Takes what was signed into account, whose entry is durable. @throws KeysteadError `keyd.journal-damaged`. */
  takeStatus(
    { repository, snapshot, timestamp }: Pick<TufStatusJournalEntry, 'repository' | 'snapshot' | 'timestamp'>,
    raises: number,
  ): void {
    const before = this.#known.get(repository);
    const kept = snapshot === undefined ? before?.status?.snapshot : signedFile('snapshot', snapshot);
    if (before === undefined || kept === undefined)
      throw new KeysteadError('keyd.journal-damaged', { field: repository, seen: 'a timestamp of no snapshot' });
    this.#raised.set(repository, raises);
    this.#known.set(repository, {
      ...before,
      status: { snapshot: kept, timestamp: signedFile('timestamp', timestamp) },
    });
  }

  of(repository: string): KnownRepository | undefined {
    return this.#known.get(repository);
  }

  /**
   * The least version of the next snapshot and timestamp: 0, or after a restore its time in seconds since 1970. Clients take
   * no lower version than they have seen, and what was signed until then is forgotten; no keyd signs one each second, so
   * that is above them all, also where this very backup was restored before.
   * @param forgotAt the time of the last restore or recount, milliseconds since 1970.
   */
  leastVersion(repository: string, raises: number, forgotAt: number | undefined): number {
    if (forgotAt === undefined || raises === (this.#raised.get(repository) ?? 0)) return 0;
    return Math.floor(forgotAt / 1000);
  }
}

/** Metadata of a role, as it stands in an entry. */
function signedFile<R extends TufRole>(role: R, text: string): SignedFile<Extract<TufSigned, { _type: R }>> {
  const bytes = fromBase64(text);
  return { ...readRole(role, bytes), bytes };
}
