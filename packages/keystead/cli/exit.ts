import { type ErrorKind, KeysteadError } from '@keystead/core/errors';

/** What the exit codes of `keystead` mean. They are part of the interface: scripts lean on them. */
export const EXIT = {
  done: 0,
  /** A verification ran and found something wrong. */
  notProven: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The input or the request was refused; the message names field and rule. */
  refused: 3,
  /** Something that is needed cannot be had now (keyd, database, network, clock): try again. */
  unavailable: 4,
  /** A defect of Keystead. */
  internal: 70,
} as const;

const BY_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: EXIT.refused,
  unauthenticated: EXIT.refused,
  forbidden: EXIT.refused,
  'not-found': EXIT.refused,
  conflict: EXIT.refused,
  'too-large': EXIT.refused,
  unsupported: EXIT.refused,
  'too-many': EXIT.unavailable,
  internal: EXIT.internal,
  unavailable: EXIT.unavailable,
};

/** Prints a failure (as one JSON document with `json`) and sets the exit code that belongs to it. */
export function fail(thrown: unknown, json = false): void {
  const known = thrown instanceof KeysteadError ? thrown : undefined;
  process.exitCode = known === undefined ? EXIT.internal : BY_KIND[known.kind];
  if (json) {
    const error = known?.toJSON() ?? { code: 'internal.unexpected', message: String(thrown) };
    process.stdout.write(`${JSON.stringify({ error })}\n`);
    return;
  }
  const text = known === undefined ? (thrown instanceof Error ? thrown.stack : String(thrown)) : known.message;
  process.stderr.write(`keystead: ${text}${known === undefined ? '' : ` [${known.code}]`}\n`);
  if (known?.remedy !== undefined) process.stderr.write(`  what to do: ${known.remedy}\n`);
}
