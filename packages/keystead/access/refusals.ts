import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { AuditEvent } from '../audit/index.ts';
import type { Store, Tx } from '../store/index.ts';

/** Writes an event into the audit log, in the transaction of the change that it tells of. @returns its number. */
export type AppendAudit = (tx: Tx, event: AuditEvent) => { readonly seq: number };

/** Something that was asked for and not done. */
export interface Refusal {
  /** What was asked for: `enrol`, `revoke`, `handshake`, … */
  readonly what: string;
  readonly error: KeysteadError;
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
  /** What it was about, for example `{device: 'pump-7'}`. */
  readonly subject?: AuditEvent['subject'];
  readonly detail?: AuditEvent['detail'];
}

/** How many refusals of unknown callers get an entry of their own in each second. */
const ANONYMOUS_PER_SECOND = 5;
/** Text that a stranger chose stands in an entry only so far. */
const MOST_SEEN = 240;

/**
 * Audits refusals. Whoever has proven an identity gets an entry for each; strangers could fill the disk with
 * entries, so beyond a few in each second theirs are counted, and one entry tells how many there were.
 * A refusal that cannot be written down, as on a full disk, is still a refusal; it is counted as well.
 */
export class RefusalLog {
  readonly #store: Store;
  readonly #audit: AppendAudit;
  readonly #clock: Clock;
  readonly #perSecond: number;
  #second = 0;
  #inSecond = 0;
  #counted = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: { store: Store; audit: AppendAudit; clock: Clock; anonymousPerSecond?: number }) {
    this.#store = deps.store;
    this.#audit = deps.audit;
    this.#clock = deps.clock;
    this.#perSecond = deps.anonymousPerSecond ?? ANONYMOUS_PER_SECOND;
  }

  /** Resolves when the entry is durable, or at once when it is only counted. It never rejects. */
  async refused(refusal: Refusal): Promise<void> {
    if (refusal.actor.kind === 'anonymous' && !this.#admit()) {
      this.#count(refusal.error.code, 1);
      return;
    }
    try {
      await this.#store.commit((tx) => this.#audit(tx, eventOf(refusal)));
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      this.#count(refusal.error.code, 1);
    }
  }

  /** Writes the entry that tells how many were only counted. It is called by a timer, and before the store closes. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const counted = this.#counted;
    if (counted.size === 0) return;
    this.#counted = new Map();
    try {
      await this.#store.commit((tx) => this.#audit(tx, countedEvent(counted)));
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      for (const [code, count] of counted) this.#count(code, count);
    }
  }

  #admit(): boolean {
    const second = Math.floor(this.#clock.now().getTime() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#inSecond = 0;
    }
    this.#inSecond += 1;
    return this.#inSecond <= this.#perSecond;
  }

  #count(code: string, count: number): void {
    this.#counted.set(code, (this.#counted.get(code) ?? 0) + count);
    this.#timer ??= setTimeout(() => void this.flush(), 1000).unref();
  }
}

function eventOf({ what, error, actor, requestId, subject, detail }: Refusal): AuditEvent {
  return {
    type: 'request.refused',
    actor,
    requestId,
    outcome: 'refused',
    subject: { ...subject, what },
    detail: {
      code: error.code,
      field: error.field ?? null,
      seen: error.seen?.slice(0, MOST_SEEN).toWellFormed() ?? null,
      ...detail,
    },
  };
}

function countedEvent(counted: ReadonlyMap<string, number>): AuditEvent {
  let count = 0;
  for (const each of counted.values()) count += each;
  return {
    type: 'request.refused-many',
    actor: { kind: 'anonymous', id: 'unknown' },
    requestId: 'none',
    outcome: 'refused',
    subject: { what: 'requests that were counted', count },
    detail: Object.fromEntries(counted),
  };
}
