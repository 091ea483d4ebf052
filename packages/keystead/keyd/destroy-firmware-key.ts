import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { firmwareKeystoreId, lineKeys } from '@keystead/core/lifecycle';
import type { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import { openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import type { FirmwareDestroyedJournalEntry } from './firmware-entries.ts';
import { loadHierarchy } from './hierarchy.ts';
import { Journal } from './journal.ts';
import { becomeSole } from './single.ts';
import { stoppedState } from './stopped-state.ts';

/**
 * Destroys a firmware key for ever, where the policy in force has retired it or it never signs again. keyd must not run. Its
 * certificate stays: what it signed is still told by it, and no other key takes its id. The journal has it before the
 * keystore lets it go, and a start of keyd ends what was cut short in between; serve takes it into the log.
 * REQ-KEY-ROT-02, REQ-KEY-AUD-01
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
      const ended = dead.get(spki);
      if (!retired && ended === undefined)
        throw new KeysteadError('firmware-key.in-use', { field: 'key', seen: `${id}, which devices trust` });
      // The files stay keyd's, also when root runs the command.
      await asOwnerOf(layout.keyd, async () => {
        await writeDown(layout, { key: name, spkiSha256: spki, why: ended ?? 'retired' }, clock);
        await keystore.destroy(name);
      });
      return spki;
    } finally {
      keystore.close();
    }
  } finally {
    right.release();
  }
}

type Destroyed = Pick<FirmwareDestroyedJournalEntry, 'key' | 'spkiSha256' | 'why'>;

/** Once: a try that was cut short after it has written this down is the same destruction. */
async function writeDown(layout: Layout, destroyed: Destroyed, clock: Clock): Promise<void> {
  let before = false;
  let lastTime = 0;
  // It uses nothing up: the counter has nothing to say to it.
  const journal = await Journal.open(join(layout.keyd, 'journal'), (entry) => {
    lastTime = Math.max(lastTime, Date.parse(entry.time));
    before ||= entry.kind === 'firmware-destroyed' && entry.spkiSha256 === destroyed.spkiSha256;
  });
  try {
    // The journal never goes back in time, whatever the clock of whoever runs the command says.
    const time = new Date(Math.max(lastTime, clock.now().getTime())).toISOString();
    if (!before) await journal.append({ kind: 'firmware-destroyed', time, ...destroyed });
  } finally {
    await journal.close();
  }
}
