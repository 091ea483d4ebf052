import { type TrustKey, trustKeystoreId } from '@keystead/core/lifecycle';
import type { Keystore } from '../keystore/index.ts';

/**
 * Makes the keys that the policy names for trust bundles and the keystore has not. They have no certificate: devices
 * know them by their SubjectPublicKeyInfo, the first from the factory and each later one from a bundle.
 * @throws KeysteadError `keystore.*`.
 */
export async function openTrustKeys(keystore: Keystore, keys: readonly TrustKey[]): Promise<void> {
  const present = new Set(keystore.list().map(({ id }) => id));
  for (const { id, algorithm } of keys) {
    const name = trustKeystoreId(id);
    if (!present.has(name)) await keystore.generate(name, algorithm, 'trust bundles');
  }
}
