import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { countWeakKeys, NO_WEAK_KEYS, readWeakKeys, type WeakKeys } from '@keystead/core/x509';

/** The lists of Debian have 2 MB for each size. */
const MOST_BYTES = 64 * 1024 * 1024;

export const weakKeyDirectory = (keyd: string): string => join(keyd, 'weak-keys');

/** The lists of weak keys that a deployment has, and how many keys they name together. */
export interface WeakKeyLists {
  readonly weakKeys: WeakKeys;
  readonly names: readonly string[];
  readonly count: number;
}

/**
 * Reads every file of `weak-keys/` in keyd's own directory, each a list in the form of Debian's openssl-blacklist. None
 * are shipped; without the directory no key is refused for standing on one. REQ-KEY-PROV-03
 * @throws KeysteadError `key-list.malformed`: a keyd that cannot read what it was told to refuse does not start.
 */
export function readWeakKeyLists(keyd: string): WeakKeyLists {
  const dir = weakKeyDirectory(keyd);
  if (!existsSync(dir)) return { weakKeys: NO_WEAK_KEYS, names: [], count: 0 };
  const names = readdirSync(dir).sort();
  const lists = names.map((name) => {
    const path = join(dir, name);
    const found = statSync(path);
    if (!found.isFile()) throw new KeysteadError('key-list.malformed', { field: path, seen: 'no file' });
    const { size } = found;
    if (size > MOST_BYTES) throw new KeysteadError('key-list.malformed', { field: path, seen: `${size} bytes` });
    return { name: path, text: readFileSync(path, 'latin1') };
  });
  const weakKeys = readWeakKeys(lists);
  return { weakKeys, names, count: countWeakKeys(weakKeys) };
}
