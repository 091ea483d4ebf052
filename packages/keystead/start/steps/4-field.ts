import type { RenewalEvent } from '@keystead/agent';
import type { World } from '../world.ts';

/** Step 4: the devices enrol by EST, talk to the backend under session keys, and renew before expiry. */
export async function field(world: World): Promise<void> {
  const { narrator, config, inService: devices } = world;
  narrator.step(
    4,
    'Field: enrol, talk, renew',
    `Each device shows its IDevID over mutual TLS and gets an LDevID that lives for ${config.ldevidSeconds} seconds. It talks to the backend with it and renews with a fresh key well before it ends.`,
  );
  const enrolling = narrator.progress('enrolling', devices.length);
  await Promise.all(devices.map((device) => until(device, ready).then(enrolling.step)));
  enrolling.stop();
  narrator.done(`${devices.length} devices hold an LDevID`);

  const talking = narrator.progress('talking', devices.length);
  for (const device of devices) {
    const said = await device.reach(`hello from ${device.id}`);
    if (said !== `hello from ${device.id}`) throw new Error(`the backend changed the message of ${device.id}`);
    talking.step();
  }
  talking.stop();
  narrator.done('each talked to the backend over mutual TLS, under keys derived for this session alone');

  const renewing = narrator.progress('waiting for renewals with a fresh key', devices.length);
  await Promise.all(devices.map((device) => once(device, 'renewed').then(renewing.step)));
  renewing.stop();
  narrator.done('each renewed before its LDevID ended; the old key served until the new one was proven');
}

type Listening = { onEvent(listener: (event: RenewalEvent) => void): () => void };

function ready(event: RenewalEvent): boolean {
  return event.type === 'enrolled' || event.type === 'recovered' || event.type === 'renewed';
}

/** Starts a device and waits until it holds a good LDevID, which it may have from an earlier run. */
function until(device: Listening & { start(): void; hasCredential(): boolean }, wanted: typeof ready): Promise<void> {
  return new Promise((resolve, reject) => {
    const off = device.onEvent((event) => {
      if (wanted(event)) {
        off();
        resolve();
      } else if (event.type === 'stopped') {
        off();
        reject(event.error);
      }
    });
    const had = device.hasCredential();
    device.start();
    if (had) {
      off();
      resolve();
    }
  });
}

function once(device: Listening, type: RenewalEvent['type']): Promise<void> {
  return new Promise((resolve) => {
    const off = device.onEvent((event) => {
      if (event.type !== type) return;
      off();
      resolve();
    });
  });
}
