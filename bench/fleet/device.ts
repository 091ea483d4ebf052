import {
  type Credential,
  CrlCache,
  DeviceState,
  datesOf,
  issuerRevoked,
  ProvenClock,
  provenTime,
  provision,
  type RenewalEvent,
  RenewalLoop,
} from '@keystead/agent';
import { type DerCertificate, sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { SecretBytes } from '@keystead/core/crypto';
import { type Cut, MemoryDisk, PowerCut } from '../../packages/agent/tests/memory-disk.ts';
import type { FleetPlan } from './plan.ts';
import { deviceIdOf } from './server.ts';
import type { ServerLink } from './server-link.ts';
import type { Cause, Tally } from './tally.ts';

const DIRECTORY = '/state';
/** Where a clock without a battery begins. */
const FIRST_DAY = Date.UTC(2020, 0, 1);

/** What a device shares with the others. */
export interface Surroundings {
  readonly plan: FleetPlan;
  readonly server: ServerLink;
  readonly tally: Tally;
  /** Puts something on the agenda, so many milliseconds from now. */
  after(ms: number, act: () => Promise<void>): void;
}

/**
 * One device: the agent's own state on a disk whose power can fail, the agent's own renewal loop, and a clock that may be
 * wrong. What its application sees is counted: for how long, while it had power and network, it had no credential that a
 * peer takes.
 */
export class FleetDevice {
  readonly id: string;
  readonly #around: Surroundings;
  readonly #secret = SecretBytes.random(32);
  #crls: CrlCache | undefined;
  /** As the agent's own: never behind what is proven. */
  readonly #clock: Clock;
  #disk = new MemoryDisk();
  #state: DeviceState | undefined;
  #loop: RenewalLoop | undefined;
  /** How far its clock is ahead, milliseconds. */
  #ahead = 0;
  /** Since when it has had network; undefined while it has none. */
  #onlineSince: number | undefined;
  /** When it last came back to the network. */
  #cameBack = 0;
  /** Until when a peer takes its credential, by the true time. */
  #goodUntil = 0;
  /** The key of its credential, as was counted last. */
  #held: string | undefined;
  /** What went wrong since it last had a good credential. */
  #cause: Cause = 'none';
  /** Of its looks the newest counts. */
  #looks = 0;
  #compromisedAt: number | undefined;
  /** Its batch was revoked, or only people can help it: it asks no more. */
  isOut = false;

  constructor(number: number, around: Surroundings) {
    this.id = deviceIdOf(number);
    this.#around = around;
    const { clock } = around.server;
    const battery = { now: () => new Date(clock.now().getTime() + this.#ahead) };
    this.#clock = new ProvenClock(battery, () => (this.#state === undefined ? 0 : provenTime(this.#state)));
  }

  /** The factory's part, and the first look. */
  async begin(number: number): Promise<void> {
    const { server } = this.#around;
    const anchors = [server.root];
    this.#state = DeviceState.create(DIRECTORY, {
      secret: this.#secret,
      disk: this.#disk,
      deviceId: this.id,
      anchors,
    });
    await provision(this.#state, this.#clock, (csr) => server.provision(number, csr));
    this.#onlineSince = this.#goodUntil = this.#now;
    await this.look();
  }

  /** One step of the loop, as its timer would take it. */
  async look(): Promise<void> {
    if (this.isOut || this.#onlineSince === undefined) return;
    this.#looks += 1;
    const loop = this.#running();
    const seconds = await loop.step();
    // The power failed in it.
    if (loop !== this.#loop) return;
    if (seconds === undefined) this.isOut = true;
    else this.#again(seconds * 1000);
  }

  /** The power will fail before the `writes`-th write from now on, and leave `cut`. */
  cutPower(writes: number, cut: Cut): void {
    if (this.#disk.cutAt !== Number.POSITIVE_INFINITY) return;
    this.#disk.cutAt = this.#disk.operations + writes;
    this.#leaves = cut;
  }
  #leaves: Cut = 'everything written is left';

  goOffline(): void {
    if (this.isOut || this.#onlineSince === undefined) return;
    this.#account();
    this.#onlineSince = undefined;
    this.#around.tally.counts.met.offline += 1;
  }

  async goOnline(): Promise<void> {
    if (this.isOut || this.#onlineSince !== undefined) return;
    this.#onlineSince = this.#cameBack = this.#now;
    await this.look();
  }

  /** Its clock is wrong by `ms`, or, with `reset`, begins at its first day. */
  async misread(ms: number | 'reset'): Promise<void> {
    if (this.isOut) return;
    this.#ahead = ms === 'reset' ? FIRST_DAY - this.#now : ms;
    const { met } = this.#around.tally.counts;
    if (ms === 'reset') met.clockResets += 1;
    else met.clockErrors += 1;
    this.#cause = 'clock';
    await this.look();
  }

  async hearTheTime(): Promise<void> {
    this.#ahead = 0;
    await this.look();
  }

  /** The server is away: what happens until it is back has that cause. */
  withoutServer(): void {
    if (this.#cause === 'none') this.#cause = 'server away';
  }

  /** The server is back. With a credential that is good still a device has lost nothing: a gap after it has no excuse. */
  withServer(): void {
    if (this.#cause === 'server away' && this.#goodUntil > this.#now) this.#cause = 'none';
  }

  /** The CA `revoked` is gone since `at`: its devices' peers say so when they next speak to one. */
  losesCa(revoked: DerCertificate, at: number): void {
    const chain = this.#state?.credential('current')?.chain ?? [];
    if (this.isOut || !chain.some((der) => sameBytes(der, revoked))) return;
    this.#account();
    this.#compromisedAt = at;
    this.#goodUntil = Math.min(this.#goodUntil, at);
    // A clock that is behind does not believe a new list, nor a new certificate.
    if (this.#ahead >= 0) this.#cause = 'CA compromise';
  }

  /** Whether its CA was revoked, and it has no credential of another yet. */
  get isWithoutCa(): boolean {
    return !this.isOut && !this.#revoked && this.#compromisedAt !== undefined;
  }

  /** A peer refuses its credential. */
  async isRefused(): Promise<void> {
    if (this.#onlineSince === undefined) return;
    this.#running().suspect();
    await this.look();
  }

  /** It was revoked: whatever it still gets is a leak. It goes on to ask. */
  get isRevoked(): boolean {
    return this.#revoked;
  }
  #revoked = false;
  revoke(): void {
    this.#account();
    this.#revoked = true;
  }

  /** The end of the simulation. */
  end(): void {
    this.#account();
    this.#state?.close();
  }

  readonly #isOnline = (): boolean => this.#onlineSince !== undefined;

  get #now(): number {
    return this.#around.server.clock.now().getTime();
  }

  /** The next look. Whatever makes the device look before then takes its place. */
  #again(ms: number): void {
    const looks = this.#looks;
    this.#around.after(ms, async () => {
      if (looks === this.#looks) await this.look();
    });
  }

  #running(): RenewalLoop {
    const { plan, server } = this.#around;
    const state = this.#state;
    if (state === undefined) throw new TypeError('the device has no state');
    this.#loop ??= new RenewalLoop({
      state,
      est: server.clientOf(this.#isOnline),
      clock: this.#clock,
      graceSeconds: plan.graceSeconds,
      prove: ({ certificate }) => server.accepts(certificate, this.#isOnline),
      issuerRevoked: (current) => this.#issuerRevoked(state, current),
      onEvent: (event) => this.#happened(event),
    });
    return this.#loop;
  }

  /** As the agent does it. The cache is made when it is first needed: few ever need it. */
  #issuerRevoked({ anchors }: DeviceState, current: Credential): Promise<boolean> {
    const { server } = this.#around;
    this.#crls ??= new CrlCache({
      clock: this.#clock,
      refreshMs: 0,
      get: async () => ({ der: server.rootCrl(this.#isOnline), etag: undefined }),
    });
    return issuerRevoked(current, { anchors, clock: this.#clock, crls: this.#crls });
  }

  #happened(event: RenewalEvent): void {
    const { tally } = this.#around;
    switch (event.type) {
      case 'enrolled':
      case 'renewed':
      case 'recovered':
        this.#gained(event.type);
        break;
      case 'stopped':
        this.#account();
        tally.counts.beyondGrace += 1;
        break;
      case 'failed':
        if (event.error instanceof PowerCut) this.#lostPower();
        break;
      case 'postponed':
        break;
    }
  }

  /** It has a new credential. */
  #gained(how: 'enrolled' | 'renewed' | 'recovered'): void {
    const { tally } = this.#around;
    if (this.#revoked) tally.counts.leaked += 1;
    tally.certificate(how, this.#now);
    this.#account();
    this.#held = this.#state?.credential('current')?.keyId;
    this.#goodUntil = datesOf(this.#credential()).notAfter.getTime();
    if (this.#compromisedAt !== undefined)
      tally.counts.restored.push(this.#now - Math.max(this.#compromisedAt, this.#cameBack));
    this.#compromisedAt = undefined;
    if (this.#ahead === 0) this.#cause = 'none';
  }

  #credential(): Credential {
    const current = this.#state?.credential('current');
    if (current === undefined) throw new TypeError('no credential');
    return current;
  }

  /** The disk is what the cut left; the device starts again a minute later, on a disk without a cut. */
  #lostPower(): void {
    this.#around.tally.counts.met.powerCuts += 1;
    if (this.#cause === 'none') this.#cause = 'power cut';
    this.#disk = this.#disk.afterCut(this.#leaves);
    // The lock of a process before the boot is nobody's; here the process is still there.
    for (const name of this.#disk.list(DIRECTORY))
      if (name.startsWith('lock')) this.#disk.unlink(`${DIRECTORY}/${name}`);
    this.#loop = undefined;
    const before = this.#held;
    this.#state = DeviceState.open(DIRECTORY, { secret: this.#secret, disk: this.#disk });
    // The power may have failed after the new credential was durable, and before anybody was told of it.
    if (this.#state.credential('current')?.keyId !== before) this.#gained('renewed');
    this.#looks += 1;
    this.#again(60_000);
  }

  /** Counts the time up to now in which it had network and nothing that a peer takes. */
  #account(): void {
    const [now, since] = [this.#now, this.#onlineSince];
    if (since === undefined || this.#revoked) return;
    const from = Math.max(since, this.#goodUntil);
    const grace = this.#around.plan.graceSeconds * 1000;
    const { tally } = this.#around;
    tally.gap({ device: this.id, from, ms: now - from, cause: this.#cause, inGrace: from <= this.#goodUntil + grace });
    // What was counted is not counted again.
    this.#onlineSince = now;
  }
}
