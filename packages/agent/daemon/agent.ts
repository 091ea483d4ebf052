import { readFileSync } from 'node:fs';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { CmpClient, type EnrolmentClient, EstClient, enrolmentClient } from '../enrol/index.ts';
import { issuerRevoked, type RenewalEvent, RenewalLoop, type RenewalWindow } from '../renewal/index.ts';
import { DeviceState, nodeDisk, RollbackGuard } from '../state/index.ts';
import { CrlCache, OcspClient } from '../tls/index.ts';
import {
  DeviceTls,
  deviceRules,
  factoryTrust,
  HttpTrustSource,
  ProvenClock,
  provenTime,
  type RulesSource,
  type RunningFirmware,
  renewalInfo,
  reportUptake,
  TrustUpdater,
  type Uptake,
  uptakeOf,
} from '../trust/index.ts';
import type { AgentConfig } from './config.ts';
import { type KeyHolder, openKeyHolder } from './key-holder.ts';
import { statusOf, writeStatus } from './status.ts';
import { type TrustEvent, TrustLoop } from './trust-loop.ts';
import { type TunnelEvent, Tunnels } from './tunnels.ts';

export type AgentEvent =
  | RenewalEvent
  | TrustEvent
  | TunnelEvent
  | { readonly type: 'ready'; readonly tunnels: readonly (string | number)[] }
  | { readonly type: 'reported' }
  | { readonly type: 'report-failed'; readonly error: unknown }
  | { readonly type: 'renewal-window'; readonly window: RenewalWindow | null }
  | { readonly type: 'renewal-info-failed'; readonly error: unknown }
  | { readonly type: 'count-failed'; readonly error: unknown }
  | { readonly type: 'connections-ended'; readonly count: number }
  | { readonly type: 'clock-behind'; readonly provenTime: Date };

/** As the server takes it: a report that it refuses would prove no credential. */
const word = z.string().regex(/^[\x21-\x7e]{1,64}$/);
const Firmware = z.strictObject({
  product: word,
  version: word,
  securityCounter: z.int().min(0).max(0xffff_ffff).nullable(),
});

/** How often a server is asked for a renewal window (the Retry-After of docs/rotation.md). */
const WINDOW_SECONDS = 6 * 3600;

/** What a daemon has open: the key holder, the state under its lock, and the counter where there is one. */
export interface OpenDevice {
  readonly holder: KeyHolder;
  readonly state: DeviceState;
  readonly guard: RollbackGuard | undefined;
}

/**
 * Opens the device that the configuration names, or makes it: key, state, and the fleet whose bundles it takes.
 * @param open.recover gives up every credential but the IDevID, as for an older image: see `RollbackGuard.recover`.
 * @throws KeysteadError `state.*`, `agent.*`, `tpm2.*`, `keystore.*`: everything is closed again then.
 */
export async function openDevice(
  config: AgentConfig,
  clock: Clock,
  open: { readonly make?: boolean; readonly recover?: boolean } = {},
): Promise<OpenDevice> {
  // Whose state is there had its key made before: what is missing then is lost, and a new one would open nothing.
  const make = open.make === true && nodeDisk.mode(`${config.state}/state`) === undefined;
  // Or a request after a wipe that was cut short would make new keys where the old ones are still to go.
  DeviceState.requireUnwiped(config.state);
  const holder = await openKeyHolder(config, clock, make ? 'make' : 'open');
  let state: DeviceState | undefined;
  try {
    using secret = await holder.secret();
    const { deviceId, anchors, fleet } = config;
    const trust = factoryTrust(fleet.name, fleet.signers);
    state = make
      ? DeviceState.create(config.state, { secret, deviceId, anchors, trust })
      : DeviceState.open(config.state, { secret });
    if (state.deviceId !== deviceId)
      throw new KeysteadError('agent.config-invalid', {
        field: 'deviceId',
        seen: `the state is that of ${state.deviceId}`,
      });
    if (state.trust === undefined) state.keepTrust(trust);
    return { holder, state, guard: await guardOf(holder, state, open.recover === true) };
  } catch (error) {
    state?.close();
    await holder.close();
    throw error;
  }
}

async function guardOf(holder: KeyHolder, state: DeviceState, recover: boolean): Promise<RollbackGuard | undefined> {
  const counter = await holder.counter?.();
  if (counter !== undefined)
    return recover ? RollbackGuard.recover(state, counter) : RollbackGuard.open(state, counter);
  // Counting that is turned off would be the way around it.
  if (state.generation !== undefined)
    throw new KeysteadError('state.rolled-back', { field: 'generation', seen: 'a counted state, and no counter' });
  // Nothing has noticed anything; whoever stands at the device knows why.
  if (recover) state.startOver(undefined, 0);
  return undefined;
}

/**
 * The daemon: keeps the LDevID alive, the trust bundle new, the tunnels open and the server told. Everything that it does
 * is an event; nothing that fails ends it but a state that it cannot open.
 */
export class Agent {
  readonly #config: AgentConfig;
  readonly #device: OpenDevice;
  readonly #clock: ProvenClock;
  readonly #onEvent: (event: AgentEvent) => void;
  readonly #trust: TrustUpdater;
  readonly #tls: DeviceTls;
  readonly #trustLoop: TrustLoop;
  readonly #renewals: RenewalLoop;
  readonly #tunnels: Tunnels;
  readonly #ocsp: OcspClient | undefined;
  readonly #crls: CrlCache;
  readonly #last: Record<string, unknown> = {};

  constructor(config: AgentConfig, device: OpenDevice, clock: Clock, onEvent: (event: AgentEvent) => void) {
    const { state, guard } = device;
    this.#config = config;
    this.#device = device;
    this.#onEvent = onEvent;
    this.#clock = new ProvenClock(clock, () => provenTime(state));
    this.#crls = new CrlCache({ clock: this.#clock });
    const settled = async (): Promise<void> => guard?.settle();
    const source = new HttpTrustSource(config.server.trust);
    this.#trust = new TrustUpdater({ state, source, clock: this.#clock, settled });
    this.#ocsp = config.ocsp ? new OcspClient({ clock: this.#clock }) : undefined;
    const rules: RulesSource = {
      state,
      clock: this.#clock,
      carried: () => this.#trust.carried,
      ...(this.#ocsp === undefined ? {} : { ocsp: this.#ocsp }),
    };
    this.#tls = new DeviceTls(rules);
    this.#trustLoop = new TrustLoop({
      trust: this.#trust,
      everySeconds: config.bundleEverySeconds,
      onEvent: (event) => this.#afterTrust(event),
    });
    this.#renewals = new RenewalLoop({
      state,
      est: this.#enrolment(rules),
      clock: this.#clock,
      graceSeconds: config.graceSeconds,
      keys: config.ldevidKeys,
      anchors: () => this.#ownAnchors(rules),
      issuerRevoked: (current) =>
        issuerRevoked(current, { anchors: this.#ownAnchors(rules), clock: this.#clock, crls: this.#crls }),
      // The server judges a credential after the handshake: an answered report shows that it takes the new one.
      prove: () => this.#report('pending'),
      settled,
      onEvent: (event) => this.#afterRenewal(event),
    });
    this.#tunnels = new Tunnels(this.#tls, config.run, (event) => this.#tell(event));
  }

  /** Starts; resolves when the newest bundle was asked for and the tunnels are open. @throws what a listener throws. */
  async start(): Promise<void> {
    const health = this.#clock.health();
    if (health.state === 'behind') this.#tell({ type: 'clock-behind', provenTime: health.provenTime });
    const enrolled = this.#device.state.credential('current') !== undefined;
    await this.#trustLoop.now();
    this.#renewals.start();
    // Its firmware may be another since it ran last.
    if (enrolled) void this.#reportSoon();
    const tunnels: (string | number)[] = [];
    for (const tunnel of this.#config.tunnels) {
      // A server needs something to show; it is opened when there is.
      if (tunnel.kind === 'from-devices' && this.#device.state.credential('current') === undefined) {
        this.#waiting.push(tunnel);
      } else tunnels.push(await this.#tunnels.open(tunnel));
    }
    this.#tell({ type: 'ready', tunnels });
  }

  readonly #waiting: AgentConfig['tunnels'][number][] = [];

  /** Asks now for the newest bundle, and for the renewal window: a server that takes its credential no more says so then. */
  look(): Promise<void> {
    this.#askedForWindow = undefined;
    return this.#trustLoop.now();
  }

  /** Ends; what was under way is over when this resolves. */
  async stop(): Promise<void> {
    await Promise.all([this.#trustLoop.stop(), this.#renewals.stop(), this.#tunnels.close()]);
    this.#ocsp?.close();
    this.#crls.close();
    this.#device.state.close();
    await this.#device.holder.close();
  }

  /** By the bundle, where it has any for devices: a new root comes that way. */
  #ownAnchors(rules: RulesSource): readonly DerCertificate[] {
    const trust = this.#trust.carried;
    const of = trust?.content.anchors.some(({ role }) => role === 'device') ? deviceRules(rules, 'device').anchors : [];
    return of.length > 0 ? of : this.#device.state.anchors;
  }

  #enrolment(rules: RulesSource): EnrolmentClient {
    const { state, holder } = this.#device;
    const { est, cmp, trust, pin } = this.#config.server;
    const anchors = () => deviceRules(rules, 'server').anchors;
    const shared = { clock: this.#clock, anchors, intermediates: () => state.intermediates };
    return enrolmentClient(state, {
      est: () => new EstClient({ ...shared, url: est, byBundle: () => deviceRules(rules, 'server', pin) }),
      cmp: () =>
        new CmpClient({
          ...shared,
          url: cmp ?? `${trust.replace(/\/$/, '')}/.well-known/cmp`,
          ...(holder.signer === undefined ? {} : { held: holder.signer }),
        }),
    });
  }

  async #afterTrust(event: TrustEvent): Promise<void> {
    this.#tell(event);
    this.#renewals.lookAgain();
    // What could not be counted when it changed; a renewal loop that has ended counts nothing.
    await this.#device.guard?.settle().catch((error: unknown) => this.#tell({ type: 'count-failed', error }));
    // Also when nothing came: the bundle may have expired meanwhile.
    const count = await this.#tls.judgeAgain();
    if (count > 0) this.#tell({ type: 'connections-ended', count });
    // Not only when a bundle came: the updater may have put in other firmware, or the last report did not arrive.
    if (this.#uptakeText() !== this.#reported) await this.#reportSoon();
    await this.#askForWindow();
  }

  #afterRenewal(event: RenewalEvent): void {
    this.#tell(event);
    if (event.type !== 'enrolled' && event.type !== 'renewed' && event.type !== 'recovered') return;
    this.#tls.renewed();
    for (const tunnel of this.#waiting.splice(0))
      this.#tunnels
        .open(tunnel)
        .catch((error: unknown) => this.#tell({ type: 'tunnel-refused', tunnel: tunnel.host, error }));
    void this.#reportSoon();
  }

  async #reportSoon(): Promise<void> {
    if (this.#device.state.credential('current') === undefined) return;
    try {
      await this.#report('current');
      this.#tell({ type: 'reported' });
    } catch (error) {
      this.#tell({ type: 'report-failed', error });
      if (error instanceof KeysteadError && error.code === 'uptake.refused') this.#renewals.suspect();
    }
  }

  #askedForWindow: Date | undefined;

  /** With a look for bundles, but not more often than the server wants to be asked. */
  async #askForWindow(): Promise<void> {
    const current = this.#device.state.credential('current');
    const since = this.#clock.now().getTime() - (this.#askedForWindow?.getTime() ?? Number.NEGATIVE_INFINITY);
    if (current === undefined || (since >= 0 && since < WINDOW_SECONDS * 1000)) return;
    this.#askedForWindow = this.#clock.now();
    const { est, pin } = this.#config.server;
    try {
      const window = await renewalInfo(this.#tls, est, pin);
      this.#tell({ type: 'renewal-window', window: window ?? null });
      this.#renewals.suggest(current.keyId, window);
    } catch (error) {
      this.#tell({ type: 'renewal-info-failed', error });
      // Between two renewals nothing else may tell a device that its CA was revoked.
      if (error instanceof KeysteadError && error.code === 'renewal.info-refused') this.#renewals.suspect();
    }
  }

  /** What the server has answered last, as text. */
  #reported: string | undefined;

  #uptake(): Uptake {
    return uptakeOf(this.#device.state, this.#firmware());
  }

  #uptakeText(): string {
    return JSON.stringify(this.#uptake());
  }

  async #report(slot: 'current' | 'pending'): Promise<void> {
    const { server } = this.#config;
    const uptake = this.#uptake();
    await reportUptake(this.#tls, server.est, uptake, { pin: server.pin, slot });
    this.#reported = JSON.stringify(uptake);
  }

  /** What the updater says is running; null while it says nothing that can be read. */
  #firmware(): RunningFirmware | null {
    const { firmwareFile } = this.#config;
    if (firmwareFile === undefined) return null;
    try {
      return Firmware.parse(JSON.parse(readFileSync(firmwareFile, 'utf8')));
    } catch {
      return null;
    }
  }

  #tell(event: AgentEvent): void {
    this.#last[event.type] = { at: this.#clock.now().toISOString(), ...printable(event) };
    this.#onEvent(event);
    const { state } = this.#device;
    const { connections } = this.#tls;
    const source = { state, clock: this.#clock, carried: this.#trust.carried, connections, last: this.#last };
    try {
      writeStatus(this.#config.run, statusOf(source));
    } catch {
      // A full disk ends no credential: the event was told, and the next one writes the file again.
    }
  }
}

/** An event as it is logged: an error by its code and rule, without its stack. */
export function printable(event: AgentEvent): Record<string, unknown> {
  const shown = (value: unknown): unknown =>
    value instanceof KeysteadError ? value.toJSON() : value instanceof Error ? { message: value.message } : value;
  return Object.fromEntries(Object.entries(event).map(([key, value]) => [key, shown(value)]));
}
