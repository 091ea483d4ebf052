import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { durableWrite, removeUnfinished } from '../files/durable.ts';
import { CLOCK_TOLERANCE_MS } from './latest-time.ts';

/** An ISO time with milliseconds, and nothing else. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * The time that no time stamp goes back before, over kills and power cuts: a file of its own that is overwritten, so that
 * the journal does not grow with what strangers ask for. It is ahead of every time that was stamped, and durable before
 * the token is signed: at most one write in two seconds. As far ahead as keyd lets its clock go back, so that a keyd that
 * was just killed stamps on at once.
 *
 * Trusted for: what {@link TsaFloor.pass} returned for, no later start stamps an earlier time than. Not for: someone who can
 * write keyd's directory. It is in no backup: after a restore the journal alone says what time it was.
 */
export class TsaFloor {
  readonly #path: string;
  /** Milliseconds since 1970; that of the start. */
  readonly #least: number;
  /** What is durable. */
  #covered: number;

  /** @param dir keyd's own directory. @throws KeysteadError `keyd.not-ready` where the file says no time. */
  constructor(dir: string) {
    this.#path = join(dir, 'tsa-floor');
    removeUnfinished(this.#path);
    this.#least = read(this.#path);
    this.#covered = this.#least;
  }

  /**
   * The time to stamp by when the machine's clock says `now`: never before what was stamped before the start.
   * @throws KeysteadError `clock.went-back`.
   */
  timeAt(now: Date): Date {
    const ms = now.getTime();
    if (ms >= this.#least) return now;
    if (ms >= this.#least - CLOCK_TOLERANCE_MS) return new Date(this.#least);
    throw new KeysteadError('clock.went-back', {
      field: 'clock',
      seen: `${now.toISOString()}, after time stamps until ${new Date(this.#least).toISOString()}`,
    });
  }

  /** Makes durable that `time` was stamped. @throws KeysteadError `keyd.journal-failed`; it must not be stamped then. */
  pass(time: Date): void {
    const ms = time.getTime();
    if (ms <= this.#covered) return;
    const until = ms + CLOCK_TOLERANCE_MS;
    try {
      durableWrite(this.#path, new Date(until).toISOString(), 0o600);
    } catch (cause) {
      const seen = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an error';
      throw new KeysteadError('keyd.journal-failed', { field: this.#path, seen, cause });
    }
    this.#covered = until;
  }
}

function read(path: string): number {
  if (!existsSync(path)) return Number.NEGATIVE_INFINITY;
  const text = readFileSync(path, 'latin1');
  if (TIME.test(text)) return Date.parse(text);
  throw new KeysteadError('keyd.not-ready', {
    field: path,
    seen: 'no time',
    remedy: 'if the clock is right remove the file: the journal remembers the time of the last hour',
  });
}
