import { ERRORS, type ErrorCode, type ErrorEntry, type ErrorKind } from './codes.ts';

/** What is known about one failure. Never put a secret here: it is printed, logged and sent. */
export interface ErrorFacts {
  /** The field, parameter or part of the input that broke the rule, as its sender would name it. */
  readonly field?: string;
  /** The value seen, shortened to what helps. */
  readonly seen?: string;
  /** Overrides the code's own advice on what to do. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/**
 * The one kind of error that leaves a Keystead function on purpose: a stable code, the rule that broke,
 * the field and value, and what to do. Codes map to HTTP, EST and exit codes in one table each.
 */
export class KeysteadError extends Error {
  override readonly name = 'KeysteadError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly seen: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, facts: ErrorFacts = {}) {
    const entry: ErrorEntry = ERRORS[code];
    const where = facts.field === undefined ? '' : `${facts.field}: `;
    const seen = facts.seen === undefined ? '' : ` (saw ${facts.seen})`;
    super(`${where}${entry.rule}${seen}`, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.field = facts.field;
    this.seen = facts.seen;
    this.remedy = facts.remedy ?? entry.remedy;
  }

  /** The class of failure, from which a protocol takes its status code. */
  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }

  /** The form that is sent and logged; it has no stack and no cause. */
  toJSON(): { code: ErrorCode; message: string; field?: string; seen?: string; remedy?: string } {
    return { code: this.code, message: this.message, field: this.field, seen: this.seen, remedy: this.remedy };
  }
}
