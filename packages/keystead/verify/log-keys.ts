import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CheckpointKeys, parseVerifierKey } from '@keystead/core/log';
import type { Layout } from '../files/layout.ts';

/**
 * The verifier keys of the log that the ceremony's bundle brought, a line each (C2SP signed-note): the log's own, and
 * the one that timestamps its checkpoints.
 */
export function logKeys(layout: Layout): string[] {
  return ['log.vkey', 'log-cosign.vkey']
    .flatMap((name) => readFileSync(join(layout.trust, name), 'utf8').split('\n'))
    .filter((line) => line !== '');
}

/** The same two keys, read from a directory that holds `log.vkey` and `log-cosign.vkey`. */
export function checkpointKeys(directory: string): CheckpointKeys {
  const key = (name: string): CheckpointKeys['log'] =>
    parseVerifierKey(readFileSync(join(directory, name), 'utf8').trim());
  return { log: key('log.vkey'), cosigner: key('log-cosign.vkey') };
}
