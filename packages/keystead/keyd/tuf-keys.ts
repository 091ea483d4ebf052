import { type Policy, tufKeystoreId } from '@keystead/core/lifecycle';
import type { Keystore } from '../keystore/index.ts';

/**
 * Makes the keys of update repositories that the policy names and the keystore has not, at a start. A root that people sign
 * names them; nothing else certifies them. @throws KeysteadError `keystore.*`.
 */
export async function makeTufKeys(keystore: Keystore, { tuf }: Policy): Promise<void> {
  const present = new Set(keystore.list().map(({ id }) => id));
  for (const { repository, keys } of tuf?.repositories ?? []) {
    for (const { id, algorithm } of keys) {
      const name = tufKeystoreId(id);
      if (!present.has(name)) await keystore.generate(name, algorithm, `update repository ${repository}`);
    }
  }
}
