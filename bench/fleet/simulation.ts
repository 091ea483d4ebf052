import { Agenda } from './agenda.ts';
import { FleetDevice } from './device.ts';
import { type FleetPlan, lengthOf, RENEWED_AT } from './plan.ts';
import { FleetServer } from './server.ts';
import { Tally } from './tally.ts';
import { WeatherForecast } from './weather.ts';

/** Requests that the server has in hand at once. */
const AT_ONCE = 16;
/** After the compromise of a CA its devices speak to a peer, and are refused, within so long. */
const NOTICED_MS = 3_600_000;
const TICK_MS = 86_400_000;

/** What a run found. */
export interface FleetRun {
  readonly plan: FleetPlan;
  readonly tally: Tally;
  readonly start: Date;
  readonly end: Date;
  readonly devices: number;
  /** Of this machine's time, seconds: for the factory, and for the field. */
  readonly seconds: { readonly factory: number; readonly field: number };
  /** The server's state at the end. */
  readonly certificates: number;
}

/** Tells how far a run is: `done` of `all`. */
export type Progress = (what: string, done: number, all: number) => void;

/**
 * A fleet through many lifetimes of its LDevIDs, by a clock that the simulation moves: the agent's own code on each device,
 * the server's own code behind it, and in between whatever the weather brings.
 */
export async function simulate(plan: FleetPlan, progress: Progress): Promise<FleetRun> {
  let tally: Tally | undefined;
  const counted = (): Tally => {
    if (tally === undefined) throw new TypeError('nothing is counted yet');
    return tally;
  };
  const server = await FleetServer.make(plan, counted);
  try {
    tally = new Tally(plan, server.clock.now().getTime());
    return await new Simulation(plan, server, tally, progress).run();
  } finally {
    await server.remove();
  }
}

class Simulation {
  readonly #plan: FleetPlan;
  readonly #server: FleetServer;
  readonly #tally: Tally;
  readonly #progress: Progress;
  readonly #agenda = new Agenda();
  readonly #devices: FleetDevice[] = [];
  readonly #start: number;
  readonly #end: number;
  /** What must happen while nothing else does. */
  readonly #acts: { at: number; act: () => Promise<void> | void }[] = [];

  constructor(plan: FleetPlan, server: FleetServer, tally: Tally, progress: Progress) {
    this.#plan = plan;
    this.#server = server;
    this.#tally = tally;
    this.#progress = progress;
    this.#start = tally.start;
    this.#end = this.#start + lengthOf(plan) * 1000;
  }

  async run(): Promise<FleetRun> {
    const begun = performance.now();
    await this.#factory();
    const made = performance.now();
    this.#forecast();
    this.#planActs();
    await this.#live();
    for (const device of this.#devices) device.end();
    const ended = performance.now();
    return {
      plan: this.#plan,
      tally: this.#tally,
      start: new Date(this.#start),
      end: new Date(this.#end),
      devices: this.#devices.length,
      seconds: { factory: (made - begun) / 1000, field: (ended - made) / 1000 },
      certificates: this.#server.bed.counts().certificates,
    };
  }

  async #factory(): Promise<void> {
    const { devices } = this.#plan;
    const around = {
      plan: this.#plan,
      server: this.#server,
      tally: this.#tally,
      after: (ms: number, act: () => Promise<void>) =>
        this.#agenda.add({ at: this.#server.clock.now().getTime() + ms, act }),
    };
    const numbers = Array.from({ length: devices }, (_, at) => at + 1);
    let made = 0;
    await atOnce(numbers, async (number) => {
      const device = new FleetDevice(number, around);
      this.#devices[number - 1] = device;
      await device.begin(number);
      made += 1;
      if (made % 100 === 0) this.#progress('provisioned and enrolled', made, devices);
    });
  }

  #forecast(): void {
    const weather = new WeatherForecast(this.#plan);
    const life = RENEWED_AT * this.#plan.ldevidSeconds * 1000;
    for (const device of this.#devices) {
      for (const { at, act } of weather.of(this.#plan.lifetimes, life))
        this.#agenda.add({ at: this.#start + at, act: () => act(device) });
    }
  }

  #planActs(): void {
    const { rotations, outages, outageSeconds, compromised } = this.#plan;
    const span = this.#end - this.#start;
    const at = (share: number, act: () => Promise<void> | void): void => {
      this.#acts.push({ at: this.#start + span * share, act });
    };
    // The last of the new keys is the answer to a compromise.
    for (let number = 1; number < rotations; number += 1) at(number / (rotations + 1), () => this.#server.rotate());
    if (rotations > 0) at(rotations / (rotations + 1), () => this.#compromise());
    if (compromised > 0) at(0.4, () => this.#revokeBatch());
    for (let number = 0; number < outages; number += 1) {
      const from = (number + 0.5) / outages;
      at(from, () => this.#away(true));
      at(from + (outageSeconds * 1000) / span, () => this.#away(false));
    }
    for (let tick = this.#start + TICK_MS; tick < this.#end; tick += TICK_MS)
      this.#acts.push({ at: tick, act: () => this.#server.tick() });
    this.#acts.sort((one, other) => one.at - other.at);
  }

  async #live(): Promise<void> {
    const slice = this.#plan.sliceSeconds * 1000;
    const { clock } = this.#server;
    let told = 0;
    for (;;) {
      const next = Math.min(this.#agenda.next ?? this.#end, this.#acts[0]?.at ?? this.#end);
      if (next >= this.#end) break;
      const act = this.#acts[0];
      const until = act === undefined ? next + slice : Math.min(next + slice, act.at);
      clock.set(new Date(Math.max(clock.now().getTime(), until)));
      await atOnce(this.#agenda.take(until), async ({ act }) => act());
      if (act !== undefined && act.at <= until) {
        this.#acts.shift();
        await act.act();
      }
      const days = Math.floor((until - this.#start) / 86_400_000);
      if (days > told) this.#progress('days', days, Math.floor((this.#end - this.#start) / 86_400_000));
      told = days;
    }
    clock.set(new Date(this.#end));
  }

  #away(isAway: boolean): void {
    this.#server.isAway = isAway;
    for (const device of this.#devices) {
      if (isAway) device.withoutServer();
      else device.withServer();
    }
  }

  async #compromise(): Promise<void> {
    const revoked = await this.#server.compromiseCa();
    const at = this.#server.clock.now().getTime();
    const weather = new WeatherForecast({ ...this.#plan, seed: this.#plan.seed + 1 });
    for (const device of this.#devices) {
      device.losesCa(revoked, at);
      this.#refuse(device, at + weather.share() * NOTICED_MS);
    }
  }

  /** Its peers refuse a device whose CA is gone, and do so again an hour later if it still has nothing better. */
  #refuse(device: FleetDevice, at: number): void {
    this.#agenda.add({
      at,
      act: async () => {
        if (!device.isWithoutCa) return;
        await device.isRefused();
        this.#refuse(device, this.#server.clock.now().getTime() + NOTICED_MS);
      },
    });
  }

  async #revokeBatch(): Promise<void> {
    const some = this.#devices.slice(0, Math.ceil(this.#plan.compromised * this.#devices.length));
    await atOnce(some, async (device) => {
      await this.#server.revoke(device.id);
      device.revoke();
    });
  }
}

/** Does it for each of the list, {@link AT_ONCE} at a time. The first that fails ends it. */
async function atOnce<T>(list: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
  let at = 0;
  const worker = async (): Promise<void> => {
    for (let one = list[at++]; one !== undefined; one = list[at++]) await act(one);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, list.length) }, worker));
}
