import type { DerCertificate } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { Agenda } from './agenda.ts';
import { atOnce } from './at-once.ts';
import { FleetDevice } from './device.ts';
import { RENEWED_AT } from './plan.ts';
import { ServerLink } from './server-link.ts';
import { Tally } from './tally.ts';
import { WeatherForecast } from './weather.ts';
import type { Answer, FromShard, Order, ShardData, World } from './wire.ts';

/** Devices that are in the middle of something at once. */
const AT_ONCE = 64;
/** After the compromise of a CA its devices speak to a peer, and are refused, within so long. */
const NOTICED_MS = 3_600_000;
/** How often the factory tells how far it is. */
const TELL_EVERY = 100;

/** A part of the fleet on a thread of its own: its devices, what they will meet, and what is counted of them. */
export class Shard {
  readonly #data: ShardData;
  readonly #tell: (message: FromShard) => void;
  readonly #clock: SimulatedClock;
  readonly #tally: Tally;
  readonly #link: ServerLink;
  readonly #agenda = new Agenda();
  /** By number. */
  readonly #devices = new Map<number, FleetDevice>();

  constructor(data: ShardData, tell: (message: FromShard) => void) {
    this.#data = data;
    this.#tell = tell;
    this.#clock = new SimulatedClock(new Date(data.start));
    this.#tally = new Tally(data.start);
    this.#link = new ServerLink({
      clock: this.#clock,
      tally: this.#tally,
      world: data.world,
      send: (asks) => tell({ asks }),
    });
  }

  /** Carries an order out, and says so. */
  async carryOut(order: Order): Promise<void> {
    if (order.do === 'factory') await this.#factory(order.upTo);
    else if (order.do === 'live') await this.#live(order.until);
    else if (order.do === 'world') this.#changed(order.world);
    else if (order.do === 'lose-ca') this.#loseCa(order.revoked);
    else if (order.do === 'revoked') this.#revoked(order.upTo);
    else this.#end(order.until);
    const { counts } = this.#tally;
    const { enrolled, renewed, recovered } = counts.issued;
    const done = { next: this.#agenda.next, certificates: enrolled + renewed + recovered };
    this.#tell({ done: order.do === 'end' ? { ...done, counts } : done });
  }

  answered(answers: readonly { to: number; answer: Answer }[]): void {
    this.#link.answered(answers);
  }

  async #factory(upTo: number): Promise<void> {
    const { plan, shard, shards, start } = this.#data;
    const around = {
      plan,
      server: this.#link,
      tally: this.#tally,
      after: (ms: number, act: () => Promise<void>) => this.#agenda.add({ at: this.#clock.now().getTime() + ms, act }),
    };
    const numbers: number[] = [];
    for (let next = shard + 1 + this.#devices.size * shards; next <= upTo; next += shards) numbers.push(next);
    const life = RENEWED_AT * plan.ldevidSeconds * 1000;
    await atOnce(AT_ONCE, numbers, async (number) => {
      const device = new FleetDevice(number, around);
      await device.begin(number);
      this.#devices.set(number, device);
      for (const { at, act } of new WeatherForecast(plan, number).of(plan.lifetimes, life))
        this.#agenda.add({ at: start + at, act: () => act(device) });
      if (this.#devices.size % TELL_EVERY === 0) this.#tell({ made: this.#devices.size });
    });
  }

  async #live(until: number): Promise<void> {
    this.#clock.set(new Date(until));
    await atOnce(AT_ONCE, this.#agenda.take(until), ({ act }) => act());
  }

  #changed(world: World): void {
    const { isAway } = this.#link.world;
    this.#link.world = world;
    if (isAway === world.isAway) return;
    for (const device of this.#devices.values()) {
      if (world.isAway) device.withoutServer();
      else device.withServer();
    }
  }

  #loseCa(revoked: DerCertificate): void {
    const at = this.#clock.now().getTime();
    for (const [number, device] of this.#devices) {
      device.losesCa(revoked, at);
      const noticed = new WeatherForecast({ ...this.#data.plan, seed: this.#data.plan.seed + 1 }, number).share();
      this.#refuse(device, at + noticed * NOTICED_MS);
    }
  }

  /** Its peers refuse a device whose CA is gone, and do so again an hour later if it still has nothing better. */
  #refuse(device: FleetDevice, at: number): void {
    this.#agenda.add({
      at,
      act: async () => {
        if (!device.isWithoutCa) return;
        await device.isRefused();
        this.#refuse(device, this.#clock.now().getTime() + NOTICED_MS);
      },
    });
  }

  #revoked(upTo: number): void {
    for (const [number, device] of this.#devices) if (number <= upTo) device.revoke();
  }

  #end(until: number): void {
    this.#clock.set(new Date(until));
    for (const device of this.#devices.values()) device.end();
  }
}
