import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { firmwareKeystoreId, lineKeys } from '@keystead/core/lifecycle';
import type { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import { openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { loadHierarchy } from './hierarchy.ts';
import { becomeSole } from './single.ts';
import { stoppedState } from './stopped-state.ts';

/**
 * Destroys a firmware key for ever, where the policy in force has retired it or it was killed. keyd must not run. Its
 * certificate stays: what it signed is still told by it, and no other key takes its id. REQ-KEY-ROT-02
 * @param passphrase of the keystore, or the user PIN of the token; stays with the caller.
 * @returns SHA-256 of the public key, hex.
 * @throws KeysteadError `firmware-key.in-use`, `keystore.key-missing`, `keyd.already-running`, `keyd.not-ready`, `policy.*`.
 */
export async function destroyFirmwareKey(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  id: string,
): Promise<string> {
  const right = await becomeSole(layout.run);
  try {
    const { policy, dead } = stoppedState(layout, loadHierarchy(layout).pins);
    const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
    try {
      const name = firmwareKeystoreId(id);
      const spki = spkiSha256(keystore.signer(name).spki);
      const key = policy.policy.firmware?.keys.find((one) => one.id === id);
      const retired = key === undefined || lineKeys(policy.policy, key).retired.includes(id);
      if (!retired && !dead.has(spki))
        throw new KeysteadError('firmware-key.in-use', { field: 'key', seen: `${id}, which devices trust` });
      // The keystore's file stays keyd's, also when root runs the command.
      await asOwnerOf(layout.keyd, () => keystore.destroy(name));
      return spki;
    } finally {
      keystore.close();
    }
  } finally {
    right.release();
  }
}
