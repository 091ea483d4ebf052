/**
 * Everything that verification can find, and what it says of the log. `about` tells what is bad: an entry, the log's
 * files, a checkpoint, or something that the log was compared with.
 */
export const FAULTS = {
  'entry-altered': { about: 'entry', says: 'was altered after it was signed' },
  'entry-dropped': { about: 'entry', says: 'was dropped' },
  'entry-inserted': { about: 'entry', says: 'was inserted after the fact' },
  'entry-duplicated': { about: 'entry', says: 'is a copy of another entry' },
  'entry-reordered': { about: 'entry', says: 'is not in its place' },
  'entry-missing': { about: 'entry', says: 'is missing or cannot be read from its file' },
  'entry-malformed': { about: 'entry', says: 'is no canonical audit entry' },
  'entry-misnumbered': { about: 'entry', says: 'does not carry the number of its place' },
  'entry-backdated': { about: 'entry', says: 'has a time that is too early' },
  'entry-postdated': { about: 'entry', says: 'has a time after that of the checkpoint that covers it' },
  'log-rewritten': { about: 'entry', says: 'was changed after it was signed' },
  'log-truncated': { about: 'entry', says: 'and those after it were signed and are not in the log' },
  fork: { about: 'checkpoint', says: 'the log has signed two histories' },
  'checkpoint-missing': { about: 'checkpoint', says: 'there is no checkpoint' },
  'checkpoint-malformed': { about: 'checkpoint', says: 'the checkpoint is damaged' },
  'checkpoint-forged': { about: 'checkpoint', says: 'the checkpoint is not signed by the keys of the log' },
  'archive-missing': { about: 'checkpoint', says: 'the archive of checkpoints is missing' },
  'archive-malformed': { about: 'checkpoint', says: 'the archive of checkpoints is damaged' },
  'archive-disordered': { about: 'checkpoint', says: 'the archived checkpoints are not in order of size and time' },
  'tile-missing': { about: 'file', says: 'a tile is missing or cannot be read; the entries are intact' },
  'tile-altered': { about: 'file', says: 'a tile was altered; the entries are intact' },
  'bundle-garbage': { about: 'file', says: 'a bundle of entries holds more than its entries' },
  'keyd-leaves-altered': { about: 'compared', says: "keyd's own leaves are damaged; the entries are intact" },
  'database-differs': { about: 'compared', says: 'is in the database other than it was signed' },
  'database-unreadable': { about: 'compared', says: 'the database could not be read' },
  'database-dropped': { about: 'compared', says: 'is not in the database' },
} as const satisfies Record<string, { about: 'entry' | 'file' | 'checkpoint' | 'compared'; says: string }>;

export type Fault = keyof typeof FAULTS;

/** One thing that is wrong. */
export interface Finding {
  readonly fault: Fault;
  /** The entry, from 0. With `upTo` it is the first of several that may be the bad one. */
  readonly index?: number;
  /** The last entry that may be the bad one, inclusive. */
  readonly upTo?: number;
  /** What was seen, and by what it is known. */
  readonly detail: string;
}

/** Findings without end (a whole archive by another key, every entry misnumbered) are counted, not listed. */
const LISTED_OF_EACH = 5;

/** Collects findings in the order in which they are met. */
export class Findings {
  readonly #list: Finding[] = [];
  readonly #counts = new Map<Fault, number>();

  add(fault: Fault, detail: string, place: { readonly index?: number; readonly upTo?: number } = {}): void {
    const count = (this.#counts.get(fault) ?? 0) + 1;
    this.#counts.set(fault, count);
    if (count <= LISTED_OF_EACH) this.#list.push({ fault, ...place, detail });
  }

  /** How often a fault was met. */
  count(fault: Fault): number {
    return this.#counts.get(fault) ?? 0;
  }

  list(): Finding[] {
    return this.#list.map((finding) => {
      const more = this.count(finding.fault) - LISTED_OF_EACH;
      const last = this.#list.findLast(({ fault }) => fault === finding.fault) === finding;
      return more > 0 && last ? { ...finding, detail: `${finding.detail} (and ${more} more)` } : finding;
    });
  }
}
