import { KeysteadError } from '@keystead/core/errors';
import type { BatchTicket } from '@keystead/core/lifecycle';
import type { RecountJournalEntry } from './journal-entry.ts';
import type { Restores } from './restores.ts';

export type Recount = Omit<RecountJournalEntry, 'n' | 'kind'>;

/**
 * When this journal may have lost a part of what it knew: the restores from a backup, and the recounts after an older
 * disk was put back. REQ-KEY-BAK-02, REQ-KEY-PROV-01
 */
export class Lapses {
  readonly #restores: Restores;
  readonly #recounts: Recount[] = [];

  constructor(restores: Restores) {
    this.#restores = restores;
  }

  /** Every order to go on where journal and counter did not agree, in order. */
  get recounts(): readonly Recount[] {
    return this.#recounts;
  }

  /** How often this journal was restored, or put back: so often it has forgotten what was signed. */
  get raises(): number {
    return this.#restores.all.length + this.#recounts.length;
  }

  /** When what was done before may last have been forgotten, by a restore or an older disk; milliseconds since 1970. */
  get forgotAt(): number | undefined {
    const last = [this.#restores.last, this.#recounts.at(-1)].flatMap((one) => one?.time ?? []);
    return last.length === 0 ? undefined : Math.max(...last.map((time) => Date.parse(time)));
  }

  /** Takes a recount into account. Returns what takes it back, for when it could not be written. */
  takeRecount(recount: Recount): () => void {
    this.#recounts.push(recount);
    return () => {
      this.#recounts.splice(this.#recounts.indexOf(recount), 1);
    };
  }

  /** The fewest entries that the log may have: what the restores vouched for. */
  get leastLogSize(): number {
    return Math.max(0, ...this.#restores.all.map(({ log }) => log.restored));
  }

  /**
   * What was made with a ticket or an authorisation after the backup, or after the disk that was put back, is forgotten,
   * and so is that it was ever used. What could be used before is therefore closed. REQ-KEY-BAK-02, REQ-KEY-PROV-01
   * @throws KeysteadError `<what>.before-restore`, `<what>.before-recount`.
   */
  requireAfterRestore(
    { notBefore }: Pick<BatchTicket, 'notBefore'>,
    what: 'ticket' | 'authorisation' | 'sign-on' | 'firmware-order' | 'trust-order' = 'ticket',
  ): void {
    const isAfter = (last: { time: string } | undefined): boolean =>
      last === undefined || Date.parse(notBefore) > Date.parse(last.time);
    const field = 'notBefore';
    const restored = this.#restores.last;
    if (!isAfter(restored)) {
      throw new KeysteadError(`${what}.before-restore`, { field, seen: `${notBefore}, restored ${restored?.time}` });
    }
    const recounted = this.#recounts.at(-1);
    if (!isAfter(recounted)) {
      throw new KeysteadError(`${what}.before-recount`, { field, seen: `${notBefore}, recounted ${recounted?.time}` });
    }
  }
}
