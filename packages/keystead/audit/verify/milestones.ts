import { KeysteadError } from '@keystead/core/errors';
import { type CheckpointKeys, openCheckpoint, type SignedCheckpoint } from '@keystead/core/log';
import type { Findings } from './faults.ts';

/** A checkpoint whose signatures are good, and where it was found. */
export interface Milestone extends SignedCheckpoint {
  readonly source: string;
}

/** How far apart two successive archived checkpoints are: between them, times and places are known only so well. */
export interface Gap {
  readonly entries: number;
  readonly seconds: number;
}

/**
 * All signed checkpoints in order of size: the archive, streamed, and a few that are known from elsewhere. What is not
 * signed by the log is a finding and passed over.
 */
export class Milestones {
  readonly #archive: AsyncGenerator<string, { torn: boolean }> | undefined;
  readonly #others: Milestone[];
  readonly #keys: CheckpointKeys;
  readonly #findings: Findings;
  #ahead: Milestone | undefined;
  #archiveEnded = false;
  #last: Milestone | undefined;
  #number = 0;
  archived = 0;
  torn = false;
  widest: Gap = { entries: 0, seconds: 0 };

  constructor(
    archive: AsyncGenerator<string, { torn: boolean }> | undefined,
    others: readonly Milestone[],
    keys: CheckpointKeys,
    findings: Findings,
  ) {
    this.#archive = archive;
    this.#others = [...others].sort((a, b) => a.size - b.size);
    this.#keys = keys;
    this.#findings = findings;
  }

  /** The next one, which stays; undefined at the end. */
  async peek(): Promise<Milestone | undefined> {
    if (this.#ahead === undefined) this.#ahead = await this.#nextArchived();
    const [other] = this.#others;
    return other === undefined || (this.#ahead !== undefined && this.#ahead.size <= other.size) ? this.#ahead : other;
  }

  async next(): Promise<Milestone | undefined> {
    const next = await this.peek();
    if (next !== undefined && next === this.#ahead) this.#ahead = undefined;
    else this.#others.shift();
    return next;
  }

  async #nextArchived(): Promise<Milestone | undefined> {
    while (!this.#archiveEnded && this.#archive !== undefined) {
      const note = await this.#nextNote();
      if (note === undefined) return undefined;
      this.#number++;
      const source = `archived checkpoint ${this.#number}`;
      const checkpoint = this.#open(note, source);
      if (checkpoint === undefined || !this.#inOrder(checkpoint)) continue;
      this.#last = checkpoint;
      this.archived++;
      return checkpoint;
    }
    return undefined;
  }

  async #nextNote(): Promise<string | undefined> {
    try {
      const step = await this.#archive?.next();
      if (step === undefined || step.done !== true) return step?.value;
      this.torn = step.value.torn;
    } catch (error) {
      this.#findings.add('archive-malformed', `after ${this.#number} notes: ${textOf(error)}`);
    }
    this.#archiveEnded = true;
    return undefined;
  }

  #open(note: string, source: string): Milestone | undefined {
    try {
      return { ...openCheckpoint(note, this.#keys), source };
    } catch (error) {
      this.#findings.add(isForgery(error) ? 'checkpoint-forged' : 'archive-malformed', `${source}: ${textOf(error)}`);
      return undefined;
    }
  }

  #inOrder(next: Milestone): boolean {
    const last = this.#last;
    const [from, until] = [last?.timestamp, next.timestamp];
    if (last !== undefined && (next.size < last.size || (from !== undefined && until !== undefined && until < from))) {
      const seen = `size ${next.size} at ${until} after size ${last.size} at ${from}`;
      this.#findings.add('archive-disordered', `${next.source}: ${seen}`);
      return false;
    }
    const seconds = from === undefined || until === undefined ? 0 : until - from;
    this.widest = {
      entries: Math.max(this.widest.entries, next.size - (last?.size ?? 0)),
      seconds: Math.max(this.widest.seconds, seconds),
    };
    return true;
  }
}

/** Whether the note is well formed and not by the log's keys. */
export const isForgery = (error: unknown): boolean =>
  error instanceof KeysteadError && (error.code === 'note.unknown-key' || error.code === 'note.signature-invalid');

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
