import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';
import type { ShareSession } from '../backup/index.ts';

/** How often the directory is looked at. */
const EVERY_MS = 200;
/** An armored response has about a kilobyte; what is larger is none. */
const MOST_BYTES = 64 * 1024;
/** What is not written to its end yet has a hidden name: taken by that, it would be refused as a second one by its own. */
const UNFINISHED = /^\./;
/** Statements about the restore lie in the same directory: they are no responses. */
const STATEMENT = /\.statement$/;
const WHOLE = /-----END AGE ENCRYPTED FILE-----\s*$/;

export interface ResponseListener {
  accepted(custodian: string): void;
  refused(file: string, error: KeysteadError): void;
}

/**
 * Feeds a session from a directory until it misses no share, or for `waitMs`. Each file is tried once, and again when
 * it has changed; a file whose end is not there yet is being copied and waited for.
 */
export async function collectResponses(
  session: Pick<ShareSession, 'missing' | 'accept'>,
  dir: string,
  waitMs: number,
  tell: ResponseListener,
): Promise<void> {
  const tried = new Map<string, string>();
  for (let waited = 0; session.missing > 0 && waited <= waitMs; waited += EVERY_MS) {
    for (const name of readdirSync(dir).sort()) {
      if (STATEMENT.test(name) || UNFINISHED.test(name)) continue;
      const text = readResponse(join(dir, name));
      if (text === undefined || tried.get(name) === text || session.missing === 0) continue;
      tried.set(name, text);
      try {
        tell.accepted(await session.accept(text));
      } catch (error) {
        if (!(error instanceof KeysteadError)) throw error;
        tell.refused(name, error);
      }
    }
    if (session.missing > 0) await pause(EVERY_MS);
  }
}

/** The statements in a directory, one a line in each file `*.statement`. */
export function statementsIn(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => STATEMENT.test(name))
    .toSorted()
    .flatMap((name) => statementLines(join(dir, name)));
}

/** The statements of one file. @throws KeysteadError `config.missing`. */
export function statementLines(path: string): string[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || stats.size > MOST_BYTES) {
    throw new KeysteadError('config.missing', { field: path, seen: 'no file of statements' });
  }
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

function readResponse(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || stats.size === 0 || stats.size > MOST_BYTES) return undefined;
  const text = readFileSync(path, 'latin1');
  return text.startsWith('-----BEGIN AGE') && !WHOLE.test(text) ? undefined : text;
}
