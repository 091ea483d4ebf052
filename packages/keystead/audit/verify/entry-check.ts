import type { AuditEntry } from '../entry.ts';
import { parseEntry } from '../entry.ts';
import type { Finding } from './faults.ts';
import { type Milestone, textOf } from './milestones.ts';

/**
 * Checks what entries say of themselves: their form, their number, and that time goes only forward and stays within
 * what the signed checkpoints around them say. These hold also against whoever could have bad entries signed.
 */
export class EntryCheck {
  readonly #toleranceMs: number;
  #last: { time: number; text: string } | undefined;
  #signedBefore: Milestone | undefined;
  first: string | undefined;

  constructor(toleranceMs: number) {
    this.#toleranceMs = toleranceMs;
  }

  /** The time of the last entry that could be read. */
  get last(): string | undefined {
    return this.#last?.text;
  }

  /** A signed checkpoint of which the entries so far are all: later entries were not there yet at its time. */
  passed(milestone: Milestone): void {
    const time = milestone.timestamp;
    if (time !== undefined && time >= (this.#signedBefore?.timestamp ?? 0)) this.#signedBefore = milestone;
  }

  /** What is wrong with entry `index`; `cover` is the first checkpoint that covers it. */
  check(index: number, bytes: Uint8Array, cover: Milestone | undefined): Finding | undefined {
    let entry: AuditEntry;
    try {
      entry = parseEntry(bytes);
    } catch (error) {
      return { fault: 'entry-malformed', index, detail: textOf(error) };
    }
    if (entry.seq !== index)
      return { fault: 'entry-misnumbered', index, detail: `it says that it is entry ${entry.seq}` };
    return this.#checkTime(index, entry, cover);
  }

  #checkTime(index: number, entry: AuditEntry, cover: Milestone | undefined): Finding | undefined {
    const time = Date.parse(entry.time);
    const before = this.#last;
    if (before !== undefined && time < before.time) {
      const detail = `it says ${entry.time}, the entry before it ${before.text}`;
      return { fault: 'entry-backdated', index, detail };
    }
    this.#last = { time, text: entry.time };
    this.first ??= entry.time;
    const after = this.#signedBefore;
    if (after?.timestamp !== undefined && time < after.timestamp * 1000 - this.#toleranceMs) {
      const detail = `it says ${entry.time}, and it was not in the log at ${iso(after)} (${after.source}, ${after.size} entries)`;
      return { fault: 'entry-backdated', index, detail };
    }
    if (cover?.timestamp !== undefined && time >= (cover.timestamp + 1) * 1000 + this.#toleranceMs) {
      const detail = `it says ${entry.time}, and was in the log at ${iso(cover)} (${cover.source}, ${cover.size} entries)`;
      return { fault: 'entry-postdated', index, detail };
    }
    return undefined;
  }
}

const iso = ({ timestamp = 0 }: Milestone): string => new Date(timestamp * 1000).toISOString();
