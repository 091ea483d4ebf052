import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretBytes } from '@keystead/core/crypto';
import { DeviceState, provision } from '../index.ts';
import { deviceCertificate, type Fleet } from './fleet.ts';

/** A provisioned device in a directory of its own; `remove` closes and deletes it. */
export async function provisionedDevice(
  fleet: Fleet,
  deviceId = 'pump-1',
): Promise<{ state: DeviceState; secret: SecretBytes; directory: string; remove: () => void }> {
  const work = mkdtempSync(join(tmpdir(), 'keystead-device-'));
  const directory = join(work, 'state');
  const secret = SecretBytes.random(32);
  const state = DeviceState.create(directory, { deviceId, anchors: [fleet.root.certificate], secret });
  await provision(state, fleet.clock, async (csr) => {
    const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
    if (certificate === undefined) throw new Error('no certificate');
    return { certificate, chain };
  });
  return {
    state,
    secret,
    directory,
    remove: () => {
      state.close();
      rmSync(work, { recursive: true, force: true });
    },
  };
}
