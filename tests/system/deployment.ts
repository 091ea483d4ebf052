import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { Narrator } from 'keystead/start/narrator.ts';
import { ceremony } from 'keystead/start/steps/1-ceremony.ts';
import { services } from 'keystead/start/steps/2-services.ts';
import { makeTryDevice } from 'keystead/start/try-device.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { World } from 'keystead/start/world.ts';

class Silent extends Narrator {
  override line(): void {}
}

export interface DeploymentOptions {
  readonly ldevidSeconds?: number;
  /** Name of the data directory in the folder. */
  readonly dataName?: string;
  /** Switches SCEP on. */
  readonly scep?: boolean;
  /** Members of the configuration besides those that `npm start` writes. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/**
 * Ports that no other test file takes, which runs at the same time in a process of its own: a deployment listens on
 * its ports only seconds after it has chosen them. They lie below those that the kernel gives to outgoing connections.
 */
export function portsOfProcess(): { https: number; http: number; backend: number } {
  const first = 12_000 + (process.pid % 5_000) * 4;
  return { https: first, http: first + 1, backend: first + 2 };
}

/** A real deployment in processes of its own, as `npm start` makes it, without the story: for tests. */
export class Deployment {
  readonly world: World;
  readonly #folder: string;
  #stopped = false;
  /** Services that ended without being asked to. */
  readonly deaths: string[];

  private constructor(folder: string, world: World, deaths: string[]) {
    this.#folder = folder;
    this.world = world;
    this.deaths = deaths;
  }

  /** Ceremony, keyd, serve, people, backend and the device to try things with. */
  static async start(options: DeploymentOptions = {}): Promise<Deployment> {
    const folder = mkdtempSync(join(tmpdir(), 'keystead-test-'));
    try {
      return await Deployment.at(folder, options);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The same on a folder that a deployment was stopped or killed in: it goes on there. */
  static async at(folder: string, options: DeploymentOptions = {}): Promise<Deployment> {
    // A temporary folder is closed to others; what stands in it is for more than one user.
    chmodSync(folder, 0o711);
    const layout = new Layout(join(folder, options.dataName ?? 'data'));
    mkdirSync(layout.data, { recursive: true, mode: 0o700 });
    const config = await openConfig(layout, systemClock, options.ldevidSeconds ?? 3600, portsOfProcess());
    const more = { ...options.config, ...(options.scep === true ? { scep: true } : {}) };
    if (Object.keys(more).length > 0) writeFileSync(layout.config, JSON.stringify({ ...config, ...more }));
    const world = new World({
      layout,
      clock: systemClock,
      narrator: new Silent(),
      config,
      passphrases: {
        keyd: await unlock(layout, 'keyd'),
        operators: await unlock(layout, 'operators'),
        devices: await unlock(layout, 'devices'),
      },
    });
    const deaths: string[] = [];
    try {
      await ceremony(world);
      await services(world, (name, how) => deaths.push(`${name}: ${how}`));
      await makeTryDevice(world);
    } catch (error) {
      // Nobody else knows of what is up by now, and the test's process would wait for it for ever.
      await world.close();
      throw error;
    }
    return new Deployment(folder, world, deaths);
  }

  get folder(): string {
    return this.#folder;
  }

  get layout(): Layout {
    return this.world.layout;
  }

  /** What a service has logged so far. */
  log(name: string): string {
    return readFileSync(join(this.layout.logs, `${name}.log`), 'utf8');
  }

  /** Ends everything in order and removes the folder, unless it is kept for another start. */
  async stop(keep = false): Promise<void> {
    if (!this.#stopped) await this.world.close();
    this.#stopped = true;
    if (!keep) rmSync(this.#folder, { recursive: true, force: true });
  }
}
