import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '../files/layout.ts';

/** The verifier keys of the log that the ceremony's bundle brought: a line each (C2SP signed-note). */
export function logKeys(layout: Layout): string[] {
  return readFileSync(join(layout.trust, 'log.vkey'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
