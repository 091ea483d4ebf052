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
/** How many refusals of one device do: a device that was opened has a key that proves itself, and all the time there is. */
const DEVICE_PER_SECOND = 20;
/** Whose refusals are counted beyond that. */
const BOUNDED: ReadonlySet<AuditEvent['actor']['kind']> = new Set(['anonymous', 'device', 'authorised', 'workload']);
/** Text that a stranger chose stands in an entry only so far. */
const MOST_SEEN = 240;

/**
 * Audits refusals. An operator gets an entry for each; strangers, and a device in the wrong hands, could fill the disk
 * with entries, so beyond a few in each second theirs are counted, and one entry tells how many there were of whom.
 * A refusal that cannot be written down, as on a full disk, is still a refusal; it is counted as well.
 */
export class RefusalLog {
  readonly #store: Store;
  readonly #audit: AppendAudit;
  readonly #clock: Clock;
  readonly #perSecond: number;
  #second = 0;
  #inSecond = new Map<string, number>();
  /** By who it was, and then by code. */
  #counted = new Map<string, { actor: AuditEvent['actor']; codes: Map<string, number> }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: { store: Store; audit: AppendAudit; clock: Clock; anonymousPerSecond?: number }) {
    this.#store = deps.store;
    this.#audit = deps.audit;
    this.#clock = deps.clock;
    this.#perSecond = deps.anonymousPerSecond ?? ANONYMOUS_PER_SECOND;
  }

  /** Resolves when the entry is durable, or at once when it is only counted. It never rejects. */
  async refused(refusal: Refusal): Promise<void> {
    if (!this.#admit(refusal.actor)) {
      this.#count(refusal.actor, refusal.error.code, 1);
      return;
    }
    try {
      await this.#store.commit((tx) => this.#audit(tx, eventOf(refusal)));
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      this.#count(refusal.actor, refusal.error.code, 1);
    }
  }

  /** Writes the entries that tell how many were only counted. It is called by a timer, and before the store closes. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const counted = this.#counted;
    if (counted.size === 0) return;
    this.#counted = new Map();
    try {
      await this.#store.commit((tx) => {
        for (const { actor, codes } of counted.values()) this.#audit(tx, countedEvent(actor, codes));
      });
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      for (const { actor, codes } of counted.values())
        for (const [code, count] of codes) this.#count(actor, code, count);
    }
  }

  #admit(actor: AuditEvent['actor']): boolean {
    if (!BOUNDED.has(actor.kind)) return true;
    const second = Math.floor(this.#clock.now().getTime() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#inSecond.clear();
    }
    const who = keyOf(actor);
    const count = (this.#inSecond.get(who) ?? 0) + 1;
    this.#inSecond.set(who, count);
    return count <= (actor.kind === 'anonymous' ? this.#perSecond : DEVICE_PER_SECOND);
  }

  #count(actor: AuditEvent['actor'], code: string, count: number): void {
    const { codes } = this.#counted.get(keyOf(actor)) ?? { codes: new Map<string, number>() };
    this.#counted.set(keyOf(actor), { actor, codes });
    codes.set(code, (codes.get(code) ?? 0) + count);
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

const keyOf = ({ kind, id }: AuditEvent['actor']): string => `${kind}:${id}`;

function countedEvent(actor: AuditEvent['actor'], counted: ReadonlyMap<string, number>): AuditEvent {
  let count = 0;
  for (const each of counted.values()) count += each;
  return {
    type: 'request.refused-many',
    actor,
    requestId: 'none',
    outcome: 'refused',
    subject: { what: 'requests that were counted', count },
    detail: Object.fromEntries(counted),
  };
}
