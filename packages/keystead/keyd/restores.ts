import type { JournalEntry } from './journal-entry.ts';
import type { RestoreAgreedJournalEntry, RestoredJournalEntry } from './restore-entries.ts';
import { Turnstile } from './turnstile.ts';

type Agreed = Omit<RestoreAgreedJournalEntry, 'n'>;
type Refused = RestoredJournalEntry['refused'][number];

/** A restore that this journal has been through, and who agreed to it. */
export interface KnownRestore extends RestoredJournalEntry {
  /** Not there where nobody has agreed yet, or the restore is of before that was asked. */
  readonly agreed?: Agreed;
}

/** More refusals than these are not written down: whoever repeats them must not fill the disk. */
const MOST_REFUSED = 64;

/**
 * The restores that this journal has been through, in order, made again from it at each start. After one that nobody has
 * agreed to yet keyd is closed. REQ-KEY-SOD-02, REQ-KEY-BAK-02
 */
export class Restores {
  /** One agreement at a time is judged. */
  readonly turnstile = new Turnstile();
  readonly #all: KnownRestore[] = [];

  replay(entry: JournalEntry): void {
    if (entry.kind === 'restored') this.#all.push(entry);
    if (entry.kind === 'restore-agreed') this.agree(entry);
    if (entry.kind === 'restore-refused') this.refuse({ time: entry.time, code: entry.code });
  }

  get all(): readonly KnownRestore[] {
    return this.#all;
  }

  get last(): KnownRestore | undefined {
    return this.#all.at(-1);
  }

  /** The restore that keyd waits for statements about. */
  get pending(): (KnownRestore & { readonly restore: string }) | undefined {
    const { last } = this;
    if (last?.restore === undefined || last.agreed !== undefined) return undefined;
    return { ...last, restore: last.restore };
  }

  /** Whether one more refusal is written down. */
  get remembersRefusals(): boolean {
    return (this.last?.refused.length ?? 0) < MOST_REFUSED;
  }

  /** Takes an agreement into account whose entry is durable. */
  agree(agreed: Agreed): void {
    const at = this.#all.findIndex(({ restore }) => restore === agreed.restore);
    const known = this.#all[at];
    if (known !== undefined) this.#all[at] = { ...known, agreed };
  }

  /** Takes a refusal into account whose entry is durable. */
  refuse(refused: Refused): void {
    const last = this.#all.pop();
    if (last !== undefined) this.#all.push({ ...last, refused: [...last.refused, refused] });
  }
}
