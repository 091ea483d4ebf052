import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { HeldKey } from '@keystead/core/firmware';
import { z } from 'zod';
import { durableWrite, removeUnfinished } from './durable.ts';

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const Schema = z.strictObject({
  version: z.literal(1),
  /** Of the policy that keyd goes by. */
  policySha256: hex,
  keys: z.array(z.strictObject({ id: z.string().max(64), spkiSha256: hex, compromised: z.boolean() })).max(1024),
});

/** The keys for firmware as keyd holds them; keyd alone writes it. */
export interface PublishedFirmwareKeys {
  /** SHA-256 of the file of the policy that keyd goes by, hex. */
  readonly policySha256: string;
  readonly keys: readonly HeldKey[];
}

/** @param dir keyd's own directory, or `trust/`. */
export const firmwareKeysPath = (dir: string): string => join(dir, 'firmware-keys.json');

/** Replaces the file where what it says is another. One that cannot be replaced is removed, where that can be done. */
export function replaceFirmwareKeys(path: string, { policySha256, keys }: PublishedFirmwareKeys): void {
  const text = `${JSON.stringify({ version: 1, policySha256, keys }, null, 2)}\n`;
  try {
    if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
    removeUnfinished(path);
    durableWrite(path, text, 0o644);
  } catch {
    try {
      rmSync(path, { force: true });
    } catch {
      // What can be neither written nor removed names another policy soon.
    }
  }
}

/** @throws KeysteadError `config.missing`, `config.malformed`. */
export function readFirmwareKeys(path: string): PublishedFirmwareKeys {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysteadError('config.missing', { field: path, remedy: 'start keyd once: it tells of its keys', cause });
  }
  try {
    return Schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new KeysteadError('config.malformed', { field: path, seen: 'no keys of keyd', cause });
  }
}
