import { availableParallelism } from 'node:os';
import { atOnce } from './at-once.ts';
import { type EventKind, eventsOf, type FleetPlan, lengthOf } from './plan.ts';
import { deviceIdOf, FleetServer } from './server.ts';
import { Shards } from './shards.ts';
import { Tally } from './tally.ts';
import type { Order } from './wire.ts';

/** Revocations that the server has in hand at once. */
const AT_ONCE = 64;
/** Devices that are made between two looks whether to stop. */
const MADE_TOGETHER = 1_000;
const TICK_MS = 86_400_000;
/**
 * While the server is away, what is due within so long is done together at the most: a device tries again after seconds and
 * minutes, ten times and then rarely, and in slices of an hour six hours would hold six tries.
 */
const AWAY_SLICE_MS = 60_000;

/** What a run found. */
export interface FleetRun {
  readonly plan: FleetPlan;
  readonly tally: Tally;
  readonly start: Date;
  /** Where it came to, and where it would have ended had nobody stopped it. */
  readonly end: Date;
  readonly plannedEnd: Date;
  /** When the key of a CA was compromised; undefined when that did not happen. */
  readonly compromisedAt: Date | undefined;
  readonly devices: number;
  /** Of this machine's time, seconds: for the factory, and for the field. */
  readonly seconds: { readonly factory: number; readonly field: number };
  /** The server's state at the end. */
  readonly certificates: number;
}

/** Tells how far a run is: `done` of `all`, and how many LDevIDs the devices have had by then. */
export type Progress = (what: string, done: number, all: number, certificates: number) => void;

export interface SimulateOptions {
  readonly progress?: Progress;
  /** Ends the run at the point to which its clock has come. */
  readonly stop?: AbortSignal;
  /** Ends the factory: the fleet is what has been made by then. */
  readonly enough?: AbortSignal;
  /** Threads on which the devices live; by default one less than there are processors. */
  readonly threads?: number;
  /** Hears of the error that ends the run; what was measured until then is told all the same. Without it `simulate` throws. */
  readonly failed?: (error: unknown) => void;
}

/**
 * A fleet through many lifetimes of its LDevIDs, by a clock that the simulation moves: the agent's own code on each device,
 * the server's own code behind it, and in between whatever the weather brings.
 */
export async function simulate(plan: FleetPlan, options: SimulateOptions = {}): Promise<FleetRun> {
  const { progress = () => {} } = options;
  const server = await FleetServer.make(plan);
  const start = server.clock.now().getTime();
  const shards = new Shards(
    { plan, shards: options.threads ?? Math.max(1, availableParallelism() - 1), start, world: server.world(false) },
    server,
    (made) => progress('provisioned and enrolled', made, plan.devices, made),
  );
  try {
    return await new Simulation(plan, server, shards, options).run();
  } finally {
    await shards.close();
    await server.remove();
  }
}

class Simulation {
  readonly #plan: FleetPlan;
  readonly #server: FleetServer;
  readonly #shards: Shards;
  readonly #progress: Progress;
  readonly #stop: AbortSignal | undefined;
  readonly #enough: AbortSignal | undefined;
  readonly #failed: SimulateOptions['failed'];
  readonly #start: number;
  readonly #end: number;
  /** What must happen while nothing else does. */
  readonly #acts: { at: number; act: () => Promise<void> | void }[] = [];
  /** When the next thing is due for a device. */
  #next = Number.POSITIVE_INFINITY;
  #certificates = 0;
  /** How many devices there are. */
  #devices = 0;
  /** Whether the server is away for everybody. */
  #isAway = false;
  #compromisedAt: Date | undefined;

  constructor(
    plan: FleetPlan,
    server: FleetServer,
    shards: Shards,
    { progress, stop, enough, failed }: SimulateOptions,
  ) {
    this.#plan = plan;
    this.#server = server;
    this.#shards = shards;
    this.#progress = progress ?? (() => {});
    this.#stop = stop;
    this.#enough = enough;
    this.#failed = failed;
    this.#start = server.clock.now().getTime();
    this.#end = this.#start + lengthOf(plan) * 1000;
  }

  async run(): Promise<FleetRun> {
    const begun = performance.now();
    await this.#factory();
    const made = performance.now();
    this.#planActs();
    try {
      await this.#live();
    } catch (error) {
      if (this.#failed === undefined) throw error;
      this.#failed(error);
    }
    const end = this.#server.clock.now();
    const { counts } = await this.#shards.carryOut({ do: 'end', until: end.getTime() });
    const tally = new Tally(this.#start);
    for (const one of counts) tally.add(one);
    return {
      plan: this.#plan,
      tally,
      start: new Date(this.#start),
      end,
      plannedEnd: new Date(this.#end),
      compromisedAt: this.#compromisedAt,
      devices: this.#devices,
      seconds: { factory: (made - begun) / 1000, field: (performance.now() - made) / 1000 },
      certificates: this.#server.bed.counts().certificates,
    };
  }

  /** Makes the devices: fewer than planned where it is stopped. */
  async #factory(): Promise<void> {
    const { devices } = this.#plan;
    while (this.#devices < devices && this.#stop?.aborted !== true && this.#enough?.aborted !== true) {
      this.#devices = Math.min(devices, this.#devices + MADE_TOGETHER);
      await this.#all({ do: 'factory', upTo: this.#devices });
    }
  }

  #planActs(): void {
    const acts: Readonly<Record<EventKind, () => Promise<void>>> = {
      'new key': () => this.#rotate(),
      compromise: () => this.#compromise(),
      'batch revoked': () => this.#revokeBatch(),
      away: () => this.#away(true),
      back: () => this.#away(false),
    };
    for (const { after, kind } of eventsOf(this.#plan)) this.#acts.push({ at: this.#start + after, act: acts[kind] });
    for (let tick = this.#start + TICK_MS; tick < this.#end; tick += TICK_MS)
      this.#acts.push({ at: tick, act: () => this.#server.tick() });
    this.#acts.sort((one, other) => one.at - other.at);
  }

  async #live(): Promise<void> {
    const { clock } = this.#server;
    let told = 0;
    while (this.#stop?.aborted !== true) {
      const slice = Math.min(this.#plan.sliceSeconds * 1000, this.#isAway ? AWAY_SLICE_MS : Number.POSITIVE_INFINITY);
      const act = this.#acts[0];
      const next = Math.min(this.#next, act?.at ?? this.#end);
      if (next >= this.#end) {
        clock.set(new Date(this.#end));
        return;
      }
      const until = Math.max(clock.now().getTime(), act === undefined ? next + slice : Math.min(next + slice, act.at));
      clock.set(new Date(until));
      await this.#all({ do: 'live', until });
      if (act !== undefined && act.at <= until) {
        this.#acts.shift();
        await act.act();
      }
      const days = Math.floor((until - this.#start) / TICK_MS);
      const all = Math.floor((this.#end - this.#start) / TICK_MS);
      if (days > told) this.#progress('days', days, all, this.#certificates);
      told = days;
    }
  }

  async #all(order: Order): Promise<void> {
    const { next, certificates } = await this.#shards.carryOut(order);
    this.#next = next;
    this.#certificates = certificates;
  }

  async #away(isAway: boolean): Promise<void> {
    this.#isAway = isAway;
    await this.#tellWorld();
  }

  async #rotate(): Promise<void> {
    await this.#server.rotate();
    await this.#tellWorld();
  }

  async #tellWorld(): Promise<void> {
    await this.#all({ do: 'world', world: this.#server.world(this.#isAway) });
  }

  async #compromise(): Promise<void> {
    const revoked = await this.#server.compromiseCa();
    this.#compromisedAt = this.#server.clock.now();
    await this.#tellWorld();
    await this.#all({ do: 'lose-ca', revoked });
  }

  async #revokeBatch(): Promise<void> {
    const upTo = Math.ceil(this.#plan.compromised * this.#devices);
    await atOnce(
      AT_ONCE,
      Array.from({ length: upTo }, (_, at) => at + 1),
      (number) => this.#server.revoke(deviceIdOf(number)),
    );
    await this.#all({ do: 'revoked', upTo });
  }
}
