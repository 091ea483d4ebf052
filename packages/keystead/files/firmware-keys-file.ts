import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { HeldKey } from '@keystead/core/firmware';
import { z } from 'zod';
import { durableWrite } from './durable.ts';

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const Schema = z.strictObject({
  version: z.literal(1),
  /** Of the policy that keyd goes by. */
  policySha256: hex,
  keys: z.array(z.strictObject({ id: z.string().max(64), spkiSha256: hex, compromised: z.boolean() })).max(1024),
});

/** The keys for firmware as keyd holds them, beside the policy in `trust/`: keyd alone writes it. */
export interface PublishedFirmwareKeys {
  /** SHA-256 of the file of the policy that keyd goes by, hex. */
  readonly policySha256: string;
  readonly keys: readonly HeldKey[];
}

/** Beside the policy in `trust/`. */
export const firmwareKeysPath = (publishedPolicy: string): string =>
  join(dirname(publishedPolicy), 'firmware-keys.json');

/** Replaces the file where what it says is another. @throws Error of node:fs. */
export function writeFirmwareKeys(path: string, { policySha256, keys }: PublishedFirmwareKeys): void {
  const text = `${JSON.stringify({ version: 1, policySha256, keys }, null, 2)}\n`;
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  durableWrite(path, text, 0o644);
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
