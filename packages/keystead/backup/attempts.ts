import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { syncDirectory } from '../files/durable.ts';
import type { RestoredJournalEntry } from '../keyd/restore-entries.ts';
import type { RefusedResponse } from './session.ts';

type Attempt = RestoredJournalEntry['refused'][number];
const Line = z.strictObject({
  time: z.iso.datetime({ offset: false }),
  code: z.string().max(64),
  who: z.string().max(64).optional(),
});
/** As many as an entry of keyd's journal takes; the newest. */
const MOST = 64;

/**
 * Refused attempts at a restore, written down beside the target at once: there is no log yet to tell them to. The
 * restore that succeeds takes them into keyd's journal, from which they get into the audit log. REQ-KEY-BAK-02
 */
export class Attempts {
  readonly #path: string;

  /** @param target the directory into which is restored. */
  constructor(target: string) {
    this.#path = `${target}.refused-restores.jsonl`;
  }

  /** One that cannot be written down, as on a full disk, is refused all the same. */
  add(refused: readonly RefusedResponse[], now: Date): void {
    if (refused.length === 0) return;
    const lines = refused.map(({ code, who }) =>
      JSON.stringify({ time: now.toISOString(), code, who: who?.slice(0, 64) }),
    );
    try {
      const file = openSync(this.#path, 'a', 0o600);
      try {
        appendFileSync(file, `${lines.join('\n')}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      syncDirectory(dirname(this.#path));
    } catch {
      // Told by the error that the caller throws.
    }
  }

  /** What was written down; a line that is none, such as one that a power cut tore, is passed over. */
  all(): Attempt[] {
    if (!existsSync(this.#path)) return [];
    return readFileSync(this.#path, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const parsed = Line.safeParse(jsonOf(line));
        return parsed.success ? [parsed.data] : [];
      })
      .slice(-MOST);
  }

  /** To be called once they stand in a journal. */
  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
