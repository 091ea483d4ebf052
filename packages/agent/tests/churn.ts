import { readSync } from 'node:fs';
import { SecretBytes } from '@keystead/core/crypto';
import { acceptIssued, DeviceState } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';

// A process that renews without end until it is killed: `node churn.ts <directory>`, the device secret on fd 0.
// After each acknowledged step it says so on standard output.
const secret = new Uint8Array(32);
readSync(0, secret);
const fleet = new Fleet();
const opening = { secret: SecretBytes.take(secret) };
const directory = process.argv[2] ?? '';
const say = (step: string, keyId: string | undefined): boolean => process.stdout.write(`${step} ${keyId}\n`);

const state = DeviceState.create(directory, { ...opening, deviceId: 'pump-1', anchors: [fleet.root.certificate] });
for (;;) {
  const { csr } = await state.beginKey('ldevid');
  acceptIssued(state, deviceCertificate(fleet, 'ldevid', csr), fleet.clock);
  say('certificate', state.pending?.keyId);
  state.promote();
  say('promoted', state.credential('current')?.keyId);
  await new Promise((resolve) => setImmediate(resolve));
}
