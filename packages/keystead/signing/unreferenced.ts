import { setImmediate as turn } from 'node:timers/promises';
import type { FirmwareOrder } from '@keystead/core/lifecycle';
import { z } from 'zod';
import type { AuditEvent } from '../audit/index.ts';
import type { SigningRequestRow } from '../store/index.ts';
import type { BlobStore } from './blob-store.ts';
import type { SigningDeps } from './deps.ts';
import type { Submission } from './submission.ts';

const DAY_MS = 86_400_000;
/** Requests that are read at once; others have their turn between two such pages. */
const PAGE = 200;

/**
 * Files that no request names: uploads that nobody asked a signature for. They are removed when nobody has handed them in
 * or asked for them in so long. A request keeps what it names, whatever has become of it, and so does one that is only
 * being read: it stands in no record yet.
 */
export class Unreferenced {
  readonly #deps: Pick<SigningDeps, 'store' | 'clock' | 'audit'>;
  readonly #files: BlobStore;
  readonly #keptMs: number;
  /** How many submissions that are under way name a file. */
  readonly #held = new Map<string, number>();
  /** What a submission named when the sweep that runs began, or has named since. */
  #named: Set<string> | undefined;

  /** @param days how long such a file is kept. */
  constructor(deps: Pick<SigningDeps, 'store' | 'clock' | 'audit'>, files: BlobStore, days: number) {
    this.#deps = deps;
    this.#files = files;
    this.#keptMs = days * DAY_MS;
  }

  /** Keeps what is submitted until that has ended. */
  hold({ image, documents }: Pick<Submission, 'image' | 'documents'>): Disposable {
    const named = [image.sha256, ...Object.values(documents)];
    for (const sha256 of named) {
      this.#held.set(sha256, (this.#held.get(sha256) ?? 0) + 1);
      this.#named?.add(sha256);
    }
    return {
      [Symbol.dispose]: () => {
        for (const sha256 of named) {
          const left = (this.#held.get(sha256) ?? 1) - 1;
          if (left === 0) this.#held.delete(sha256);
          else this.#held.set(sha256, left);
        }
      },
    };
  }

  /**
   * Removes what is due. What is about to go is in the log and in the records first, and goes then: a kill in between
   * leaves files that the next sweep removes, and none that went untold. One at a time.
   * @returns their hashes. @throws Error of node:fs, `store.*`.
   */
  async sweep(): Promise<readonly string[]> {
    const before = this.#deps.clock.now().getTime() - this.#keptMs;
    if (this.#named !== undefined) return [];
    this.#named = new Set(this.#held.keys());
    try {
      // Told of by a sweep that did not end.
      const left = this.#told();
      const due = new Set(this.#files.unusedSince(before));
      if (due.size === 0 && left.length === 0) return [];
      for await (const row of this.#requests()) for (const sha256 of namedBy(row)) due.delete(sha256);
      const fresh = [...due].filter((sha256) => !this.#isNamed(sha256) && !left.includes(sha256)).slice(0, AT_ONCE);
      const told = [...left, ...fresh];
      if (fresh.length > 0) await this.#tell(told, removedEvents(fresh));
      // From here to the removal nothing else has a turn: what was named meanwhile is known, recorded or not.
      const gone = told.filter(
        (sha256) => due.has(sha256) && !this.#isNamed(sha256) && this.#files.remove(sha256, before),
      );
      const kept = told.filter((sha256) => this.#files.sizeOf(sha256) !== undefined);
      if (told.length > 0) await this.#tell([], keptEvents(kept));
      return gone;
    } finally {
      this.#named = undefined;
    }
  }

  #isNamed(sha256: string): boolean {
    return this.#named?.has(sha256) === true;
  }

  /** What the log says is removed, and may be there still. */
  #told(): readonly string[] {
    const text = this.#deps.store.read((records) => records.meta(TOLD));
    return text === undefined ? [] : Told.parse(JSON.parse(text));
  }

  #tell(told: readonly string[], events: readonly AuditEvent[]): Promise<void> {
    return this.#deps.store.commit((tx) => {
      tx.setMeta(TOLD, JSON.stringify(told));
      for (const event of events) this.#deps.audit(tx, event);
    });
  }

  async *#requests(): AsyncGenerator<SigningRequestRow> {
    for (let last: SigningRequestRow | undefined; ; ) {
      const page = this.#deps.store.read(({ signing }) => signing.requests(last, PAGE));
      yield* page;
      last = page.at(-1);
      if (page.length < PAGE) return;
      await turn();
    }
  }
}

function namedBy({ imageSha256, resultSha256, order }: SigningRequestRow): string[] {
  const { documents } = JSON.parse(order) as Pick<FirmwareOrder, 'documents'>;
  return [imageSha256, ...(resultSha256 === null ? [] : [resultSha256]), ...documents.map(({ sha256 }) => sha256)];
}

/** Where the records have the hashes of files that are told and may not be removed yet, a JSON array. */
const TOLD = 'signing-files-removed';
const Told = z.array(z.string());
/** As many are told at once; the others at the next sweep. */
const AT_ONCE = 1024;
/** As many hashes as an entry has room for. */
const NAMED = 16;

/** Each hash is in one of them. */
function eventsOf(type: string, all: readonly string[], detail: Readonly<Record<string, string>>): AuditEvent[] {
  const events: AuditEvent[] = [];
  for (let at = 0; at < all.length; at += NAMED) {
    const some = all.slice(at, at + NAMED);
    events.push({
      ...{ type, actor: { kind: 'system', id: 'serve' }, requestId: 'none', outcome: 'done', subject: {} },
      detail: { files: some.length, sha256: some.join(', '), ...detail },
    });
  }
  return events;
}

const removedEvents = (gone: readonly string[]): AuditEvent[] => eventsOf('signing.files-removed', gone, {});

/** Of those that the log has as removed: somebody asked for them, or handed them in, before they went. */
const keptEvents = (kept: readonly string[]): AuditEvent[] =>
  eventsOf('signing.files-kept', kept, { reason: 'named or handed in again before they were removed' });
