import { setImmediate as turn } from 'node:timers/promises';
import type { FirmwareOrder } from '@keystead/core/lifecycle';
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

  /** Removes what is due, and tells of it. One at a time. @returns their hashes. @throws Error of node:fs, `store.*`. */
  async sweep(): Promise<readonly string[]> {
    const before = this.#deps.clock.now().getTime() - this.#keptMs;
    if (this.#named !== undefined) return [];
    this.#named = new Set(this.#held.keys());
    try {
      const due = new Set(this.#files.unusedSince(before));
      if (due.size === 0) return [];
      for await (const row of this.#requests()) for (const sha256 of namedBy(row)) due.delete(sha256);
      // From here to the removal nothing else has a turn: what was named meanwhile is known, recorded or not.
      const removed = [...due].filter((sha256) => this.#named?.has(sha256) !== true);
      const gone = removed.filter((sha256) => this.#files.remove(sha256, before));
      if (gone.length > 0) await this.#deps.store.commit((tx) => void this.#deps.audit(tx, removedEvent(gone)));
      return gone;
    } finally {
      this.#named = undefined;
    }
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

/** As many hashes as an entry has room for: what else was removed is counted. */
const NAMED = 16;

const removedEvent = (gone: readonly string[]): AuditEvent => ({
  type: 'signing.files-removed',
  actor: { kind: 'system', id: 'serve' },
  requestId: 'none',
  outcome: 'done',
  subject: {},
  detail: { files: gone.length, sha256: gone.slice(0, NAMED).join(', ') },
});
