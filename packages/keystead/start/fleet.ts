import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DeviceState, EstClient, type RenewalEvent, RenewalLoop, type WipeReport } from '@keystead/agent';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { hkdf, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { DeviceLink } from '../examples/backend/index.ts';
import type { Layout } from '../files/layout.ts';

export interface FleetOptions {
  readonly layout: Layout;
  readonly clock: Clock;
  readonly anchor: DerCertificate;
  /** What stands for each device's own protected storage: a device's secret is derived from it. */
  readonly secret: SecretBytes;
  readonly estUrl: string;
  readonly backend: { readonly host: string; readonly port: number };
  readonly graceSeconds: number;
}

/** How often a device that is refused asks again, and how long it waits before, milliseconds. */
const TRIES = 20;
const AGAIN_MS = 500;

/** One device of the demonstration: its sealed state, its renewals and its connection to the backend. */
export class DemoDevice {
  readonly id: string;
  readonly #options: FleetOptions;
  readonly #state: DeviceState;
  readonly #est: EstClient;
  readonly #listeners = new Set<(event: RenewalEvent) => void>();
  #loop: RenewalLoop | undefined;
  #link: DeviceLink | undefined;
  /** The certificate that the open connection was made with. */
  #linkedBy: DerCertificate | undefined;
  #wiped = false;

  private constructor(id: string, options: FleetOptions, state: DeviceState) {
    this.id = id;
    this.#options = options;
    this.#state = state;
    this.#est = new EstClient({
      url: options.estUrl,
      clock: options.clock,
      anchors: () => state.anchors,
      intermediates: () => state.intermediates,
    });
  }

  /** Opens the device's state, or makes it. @throws KeysteadError `state.wiped` for a device at its end. */
  static open(id: string, options: FleetOptions): DemoDevice {
    const directory = join(options.layout.devices, id);
    mkdirSync(options.layout.devices, { recursive: true, mode: 0o700 });
    using secret = hkdf('sha256', options.secret, new Uint8Array(0), `keystead demonstration device ${id}`, 32);
    const state = existsSync(join(directory, 'state'))
      ? DeviceState.open(directory, { secret })
      : DeviceState.create(directory, { secret, deviceId: id, anchors: [options.anchor] });
    return new DemoDevice(id, options, state);
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** Whether the device holds an LDevID that is good now. */
  hasCredential(): boolean {
    const current = this.#state.credential('current');
    return current !== undefined && readCertificate(current.certificate).notAfter > this.#options.clock.now();
  }

  onEvent(listener: (event: RenewalEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts to enrol and renew; the device goes on by itself until {@link stop}. */
  start(): void {
    this.#loop = new RenewalLoop({
      state: this.#state,
      est: this.#est,
      clock: this.#options.clock,
      graceSeconds: this.#options.graceSeconds,
      backoff: { firstSeconds: 1, mostSeconds: 60 },
      prove: async (identity) => {
        const link = await DeviceLink.connect(this.#options.backend, identity, this.#rules());
        try {
          await link.whoAmI();
        } finally {
          link.close();
        }
      },
      onEvent: (event) => {
        for (const listener of this.#listeners) listener(event);
      },
    });
    this.#loop.start();
  }

  /**
   * One message to the backend and back, under session keys. The connection is kept as long as its certificate is
   * the current one: the backend ends it with the certificate it was made with, renewed or not.
   */
  async talk(text: string): Promise<string> {
    const current = this.#state.credential('current')?.certificate;
    if (this.#link === undefined || !this.#link.isOpen || !sameDer(this.#linkedBy, current)) {
      this.#link?.close();
      this.#link = await DeviceLink.connect(this.#options.backend, this.#state.identity('current'), this.#rules());
      this.#linkedBy = current;
    }
    const answer = await this.#link.echo(Buffer.from(text, 'utf8'));
    return Buffer.from(answer).toString('utf8');
  }

  /** As {@link talk}; again when it is refused, for a device whose LDevID ended a moment ago is getting the next. */
  async reach(text: string): Promise<string> {
    for (let left = TRIES; ; left -= 1) {
      try {
        return await this.talk(text);
      } catch (error) {
        if (!(error instanceof KeysteadError) || error.code !== 'peer.refused' || left === 0) throw error;
        await pause(AGAIN_MS);
      }
    }
  }

  /** Stops renewing and hangs up; the state stays. */
  async stop(): Promise<void> {
    await this.#loop?.stop();
    this.#link?.close();
    this.#link = undefined;
  }

  /** Ends the device: every key is destroyed. */
  async wipe(): Promise<WipeReport> {
    await this.stop();
    this.#wiped = true;
    return this.#state.wipe(this.#options.clock.now());
  }

  close(): void {
    if (!this.#wiped) this.#state.close();
  }

  #rules(): { clock: Clock; anchors: readonly DerCertificate[]; intermediates: readonly DerCertificate[] } {
    return { clock: this.#options.clock, anchors: this.#state.anchors, intermediates: this.#state.intermediates };
  }
}

function sameDer(one: DerCertificate | undefined, other: DerCertificate | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.from(one).equals(other);
}

/** The first certificate of a PEM file's text, DER. */
export function firstCertificate(pem: string): DerCertificate {
  const [der] = fromPem('CERTIFICATE', pem);
  if (der === undefined) throw new TypeError('no certificate in the text');
  return der as DerCertificate;
}
