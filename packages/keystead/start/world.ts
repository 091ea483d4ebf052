import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import type { RestClient } from '../client/rest.ts';
import type { Config } from '../files/config.ts';
import type { Layout } from '../files/layout.ts';
import { type DemoDevice, firstCertificate } from './fleet.ts';
import type { Narrator } from './narrator.ts';
import { clientOf } from './operators.ts';
import type { Service } from './process.ts';

/** Everything that the steps of the story share. */
export class World {
  readonly layout: Layout;
  readonly clock: Clock;
  readonly config: Config;
  readonly narrator: Narrator;
  readonly passphrases: { readonly keyd: SecretBytes; readonly operators: SecretBytes; readonly devices: SecretBytes };
  readonly services: Service[] = [];
  /** By device id, in the order of their numbers: every device that is not at its end. */
  readonly fleet = new Map<string, DemoDevice>();
  /** Devices that headquarters refuses, stolen in this run or an earlier one. */
  readonly blocked = new Set<string>();
  readonly #clients = new Map<string, RestClient>();

  constructor(parts: Pick<World, 'layout' | 'clock' | 'config' | 'narrator' | 'passphrases'>) {
    this.layout = parts.layout;
    this.clock = parts.clock;
    this.config = parts.config;
    this.narrator = parts.narrator;
    this.passphrases = parts.passphrases;
  }

  /** The devices that are in service. */
  get inService(): DemoDevice[] {
    return [...this.fleet.values()].filter((device) => !this.blocked.has(device.id));
  }

  get httpsUrl(): string {
    return `https://${this.config.host}:${this.config.ports.https}`;
  }

  get httpUrl(): string {
    return `http://${this.config.host}:${this.config.ports.http}`;
  }

  get rootPath(): string {
    return join(this.layout.trust, 'root.pem');
  }

  /** PEM of the trust anchor. */
  get rootPem(): string {
    return readFileSync(this.rootPath, 'utf8');
  }

  get root(): DerCertificate {
    return firstCertificate(this.rootPem);
  }

  /** The REST client of one of the people. */
  as(name: string): RestClient {
    const known = this.#clients.get(name);
    if (known !== undefined) return known;
    const client = clientOf(this.layout, name, this.httpsUrl, this.rootPem, this.passphrases.operators);
    this.#clients.set(name, client);
    return client;
  }

  /** Ends everything in the order that loses nothing: devices, then services from the outside in. */
  async close(): Promise<void> {
    await Promise.all([...this.fleet.values()].map((device) => device.stop()));
    for (const device of this.fleet.values()) device.close();
    for (const client of this.#clients.values()) client.close();
    for (const service of this.services.reverse()) await service.stop();
    for (const passphrase of Object.values(this.passphrases)) passphrase.wipe();
  }
}

/** Device ids of the demonstration, `KS-0001` onward. */
export const deviceIdOf = (number: number): string => `KS-${String(number).padStart(4, '0')}`;
/** The device that is reported stolen in step 5. */
export const STOLEN = deviceIdOf(4);
/** The device that ends in step 6. */
export const DECOMMISSIONED = deviceIdOf(9);
