import type { Cut } from '../../packages/agent/tests/memory-disk.ts';
import { Dice } from '../../tests/line/dice.ts';
import type { FleetDevice } from './device.ts';
import type { FleetPlan } from './plan.ts';

const CUTS: readonly Cut[] = [
  'nothing unsynced is left',
  'everything written is left',
  'names are left, contents are torn',
];
/** Writes of one renewal: the power fails at any of them, or after. */
const WRITES = 40;

/** One thing that a device meets, and when, milliseconds from the start. */
export interface Meeting {
  readonly at: number;
  readonly act: (device: FleetDevice) => Promise<void> | void;
}

/** Apart enough that the dice of two devices have nothing in common (Knuth's multiplicative hashing). */
const SPREAD = 0x9e3779b1;

/** What one device meets, by the plan's seed and the device's number. */
export class WeatherForecast {
  readonly #plan: FleetPlan;
  readonly #dice: Dice;

  constructor(plan: FleetPlan, device: number) {
    this.#plan = plan;
    this.#dice = new Dice(plan.seed ^ Math.imul(device, SPREAD));
  }

  /** A number from 0 up to 1, without 1. */
  share(): number {
    return this.#dice.below(2 ** 30) / 2 ** 30;
  }

  /** All that it meets in `lifetimes` of `ms` each. */
  of(lifetimes: number, ms: number): Meeting[] {
    const { weather } = this.#plan;
    const met: Meeting[] = [];
    for (let life = 0; life < lifetimes; life += 1) {
      const when = (): number => (life + this.share()) * ms;
      if (this.share() < weather.powerCut) {
        const [writes, cut] = [1 + this.#dice.below(WRITES), this.#dice.oneOf(CUTS)];
        met.push({ at: when(), act: (device) => device.cutPower(writes, cut) });
      }
      if (this.share() < weather.offline) {
        const at = when();
        const back = at - Math.log(1 - this.share()) * weather.offlineSeconds * 1000;
        met.push({ at, act: (device) => device.goOffline() }, { at: back, act: (device) => device.goOnline() });
      }
      if (this.share() < weather.clockDrift) {
        const wrong = (2 * this.share() - 1) * weather.clockSeconds * 1000;
        met.push({ at: when(), act: (device) => device.misread(wrong) });
      }
      if (this.share() < weather.clockReset) {
        const at = when();
        met.push(
          { at, act: (device) => device.misread('reset') },
          { at: at + weather.clockResetSeconds * 1000, act: (device) => device.hearTheTime() },
        );
      }
    }
    return met;
  }
}
