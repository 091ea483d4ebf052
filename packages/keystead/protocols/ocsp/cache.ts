import type { Serial } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { CachedAnswer } from './cached-answer.ts';
import type { OcspReply } from './responder.ts';

/** How often an answer is made anew when a status changes while it is being made. */
const MOST_ATTEMPTS = 3;
/** What an entry takes beside its bytes: maps, objects, headers. */
const OVERHEAD_BYTES = 600;

/** An answer that is being made or kept, and what would make it untrue. */
interface Entry {
  readonly key: string;
  readonly serials: readonly Serial[];
  /** Set when the status of one of its serials changed. */
  stale: boolean;
  answer: CachedAnswer | undefined;
  readonly make: () => Promise<OcspReply>;
}

/**
 * The answers of one CA, by the exact bytes of their requests. An answer is dropped the moment the status of one of
 * its certificates changes, so that a revocation is in the next answer (REQ-KEY-REV-01), and well before its
 * nextUpdate. Memory is bounded: two generations, of which the elder is dropped whole when the younger is full; what
 * is asked for moves to the younger. That is nearly least-recently-used, and a hit costs one look-up.
 */
export class AnswerCache {
  readonly #clock: Clock;
  readonly #generationBytes: number;
  #young = new Map<string, Entry>();
  #old = new Map<string, Entry>();
  #youngBytes = 0;
  readonly #making = new Map<string, { entry: Entry; made: Promise<OcspReply | CachedAnswer> }>();
  readonly #bySerial = new Map<Serial, Set<Entry>>();

  /** @param maxBytes about how much memory the answers may take. */
  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock;
    this.#generationBytes = maxBytes / 2;
  }

  /** Answers that are kept now. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Answers that are kept or being made, by what they are found. For tests: an entry that is gone leaves nothing. */
  get indexed(): number {
    return this.#all().size;
  }

  /** The answer to the request with these bytes, when there is one that may still be given. */
  get(key: string, nowMs: number): CachedAnswer | undefined {
    const entry = this.#young.get(key) ?? this.#promote(key);
    const answer = entry?.answer;
    if (entry === undefined || answer === undefined) return undefined;
    if (nowMs >= answer.freshUntilMs) {
      this.#remove(entry);
      return undefined;
    }
    if (nowMs >= answer.refreshFromMs) this.#refresh(entry);
    return answer;
  }

  /** Has a successor made ahead of the end. A failure is told by the first request that finds no answer any more. */
  #refresh({ key, serials, make }: Entry): void {
    if (!this.#making.has(key)) this.fill(key, serials, make).catch(() => {});
  }

  /**
   * Has an answer made and keeps it, if it may be kept. Requests with the same bytes wait for one answer.
   * @throws what `make` throws; KeysteadError `ocsp.busy` when the status changes faster than answers are made.
   */
  fill(key: string, serials: readonly Serial[], make: () => Promise<OcspReply>): Promise<OcspReply | CachedAnswer> {
    const running = this.#making.get(key);
    if (running !== undefined) return running.made;
    const entry: Entry = { key, serials, stale: false, answer: undefined, make };
    this.#index(entry);
    const made = this.#make(entry, make).finally(() => {
      if (this.#making.get(key)?.entry === entry) this.#making.delete(key);
      if (entry.answer === undefined) this.#unindex(entry);
    });
    this.#making.set(key, { entry, made });
    return made;
  }

  /**
   * The status of this certificate changed, durably, or that of any when it is not said which: no answer from before
   * is given any more.
   */
  statusChanged(serial?: Serial): void {
    const entries = serial === undefined ? this.#all() : [...(this.#bySerial.get(serial) ?? [])];
    for (const entry of entries) {
      entry.stale = true;
      if (entry.answer !== undefined) this.#remove(entry);
      // Whoever asks from now on does not wait for the answer that was begun before.
      else if (this.#making.get(entry.key)?.entry === entry) this.#making.delete(entry.key);
    }
  }

  #all(): Set<Entry> {
    const all = new Set<Entry>();
    for (const entries of this.#bySerial.values()) for (const entry of entries) all.add(entry);
    return all;
  }

  async #make(entry: Entry, make: () => Promise<OcspReply>): Promise<OcspReply | CachedAnswer> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      entry.stale = false;
      const reply = await make();
      if (entry.stale) continue;
      if (reply.validity === undefined) return reply;
      const answer = new CachedAnswer(reply.der, reply.validity);
      if (this.#clock.now().getTime() >= answer.freshUntilMs) return answer;
      this.#keep(entry, answer);
      return answer;
    }
    throw new KeysteadError('ocsp.busy', { field: 'certID' });
  }

  #keep(entry: Entry, answer: CachedAnswer): void {
    // After a change of status two answers to one request may be under way: the later one stays.
    const other = this.#young.get(entry.key) ?? this.#old.get(entry.key);
    if (other !== undefined) this.#remove(other);
    entry.answer = answer;
    this.#young.set(entry.key, entry);
    this.#grow(bytesOf(entry));
  }

  #promote(key: string): Entry | undefined {
    const entry = this.#old.get(key);
    if (entry === undefined) return undefined;
    this.#old.delete(key);
    this.#young.set(key, entry);
    this.#grow(bytesOf(entry));
    return entry;
  }

  #grow(bytes: number): void {
    this.#youngBytes += bytes;
    if (this.#youngBytes <= this.#generationBytes) return;
    for (const entry of this.#old.values()) this.#unindex(entry);
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }

  #remove(entry: Entry): void {
    if (this.#young.get(entry.key) === entry) {
      this.#young.delete(entry.key);
      this.#youngBytes -= bytesOf(entry);
    } else if (this.#old.get(entry.key) === entry) {
      this.#old.delete(entry.key);
    }
    this.#unindex(entry);
  }

  #index(entry: Entry): void {
    for (const serial of entry.serials) {
      const entries = this.#bySerial.get(serial);
      if (entries === undefined) this.#bySerial.set(serial, new Set([entry]));
      else entries.add(entry);
    }
  }

  #unindex(entry: Entry): void {
    for (const serial of entry.serials) {
      const entries = this.#bySerial.get(serial);
      entries?.delete(entry);
      if (entries?.size === 0) this.#bySerial.delete(serial);
    }
  }
}

/** The body is kept as bytes and as text; the key is text of one byte a character. */
const bytesOf = (entry: Entry): number => OVERHEAD_BYTES + entry.key.length + 2 * (entry.answer?.body.length ?? 0);
