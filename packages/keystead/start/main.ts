import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { systemClock } from '../clock/system.ts';
import { openConfig } from '../files/config.ts';
import { Layout } from '../files/layout.ts';
import { removeEndpoints, writeEndpoints } from './endpoints.ts';
import { Narrator } from './narrator.ts';
import { PidFile } from './pid-file.ts';
import { ceremony } from './steps/1-ceremony.ts';
import { services } from './steps/2-services.ts';
import { factory } from './steps/3-factory.ts';
import { field } from './steps/4-field.ts';
import { stolen } from './steps/5-stolen.ts';
import { decommission } from './steps/6-decommission.ts';
import { proof } from './steps/7-proof.ts';
import { makeTryDevice } from './try-device.ts';
import { tryNext } from './try-next.ts';
import { unlock } from './unlock.ts';
import { watchFleet } from './watch.ts';
import { World } from './world.ts';

export interface StartOptions {
  readonly data: string;
  readonly ldevidSeconds: number;
  /** End after the story instead of staying up. */
  readonly once: boolean;
}

/**
 * The whole life of a device, told while it happens: ceremony, services, factory, field, a stolen device, a
 * decommissioned one, proof. Then it stays up until it is interrupted. Each step finds what an earlier start has
 * done, so that a second start goes on. Resolves when everything has been stopped in order.
 * @throws KeysteadError with what went wrong; everything that was started has been stopped by then
 */
export async function start(options: StartOptions): Promise<void> {
  const layout = new Layout(options.data);
  const narrator = new Narrator();
  const interrupted = interruption();
  mkdirSync(layout.data, { recursive: true, mode: 0o700 });
  // Where keyd and serve have users of their own, their group passes through.
  chmodSync(layout.data, statSync(layout.data).mode & 0o710);
  using _lock = PidFile.take(layout.pidFile);
  narrator.title('Keystead: the whole life of a device');
  narrator.note(`state: ${layout.data}`);
  const world = new World({
    layout,
    narrator,
    clock: systemClock,
    config: await openConfig(layout, systemClock, options.ldevidSeconds),
    passphrases: {
      keyd: await unlock(layout, 'keyd'),
      operators: await unlock(layout, 'operators'),
      devices: await unlock(layout, 'devices'),
    },
  });
  removeEndpoints(world);
  try {
    const story = tell(world, options, interrupted);
    story.catch(() => {});
    await Promise.race([story, interrupted.signal]);
  } finally {
    removeEndpoints(world);
    narrator.line('\nstopping');
    await world.close();
    narrator.line('stopped; start again to go on where this ended');
  }
}

async function tell(world: World, options: StartOptions, interrupted: Interruption): Promise<void> {
  let died: (error: Error) => void = () => {};
  const death = new Promise<never>((_resolve, reject) => {
    died = reject;
  });
  death.catch(() => {});
  const steps = async (): Promise<void> => {
    await ceremony(world);
    await services(world, (name, how) =>
      died(new Error(`${name} ended unasked (${how}); its log is in ${world.layout.logs}`)),
    );
    await factory(world);
    await field(world);
    await stolen(world);
    await decommission(world);
    await makeTryDevice(world);
    await proof(world);
    writeEndpoints(world);
    tryNext(world);
  };
  await Promise.race([steps(), death]);
  if (options.once) return;
  const stopWatching = watchFleet(world);
  try {
    await Promise.race([interrupted.signal, death]);
  } finally {
    stopWatching();
  }
}

interface Interruption {
  /** Resolves on the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: Promise<void>;
}

/** Ctrl-C comes once from the terminal and once more from the bootstrap: only a person who insists gets more. */
function interruption(): Interruption {
  let count = 0;
  const signal = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        count += 1;
        resolve();
        if (count > 4) process.exit(130);
      });
    }
  });
  return { signal };
}
