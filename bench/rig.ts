import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeKeyAndCsr } from '@keystead/agent';
import { type DerCertificate, fromPem, toBase64, toPem } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { keydSocketPath } from 'keystead/keyd/socket-path.ts';
import { KeydClient } from 'keystead/keyd-client/index.ts';
import type { UnitView } from 'keystead/protocols/rest/domain.ts';
import { launchKeyd } from 'keystead/start/launch.ts';
import type { Service } from 'keystead/start/process.ts';
import { openTicket } from 'keystead/start/ticket.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { Deployment } from '../tests/system/deployment.ts';
import type { Bench } from './bench.ts';

/** A device with its IDevID. */
export interface BenchDevice {
  readonly id: string;
  readonly certificate: DerCertificate;
  /** PEM: certificate and chain, and the key. */
  readonly identity: { readonly cert: string; readonly key: string };
}

const DEVICES = 32;
const LINE = 'line-1';

/**
 * The system that is measured: a deployment in processes of its own, as `npm start` makes it, with devices that hold
 * their IDevIDs. In its second phase keyd runs alone on what the deployment left.
 */
export class Rig {
  readonly #bench: Bench;
  #deployment: Promise<Deployment> | undefined;
  #devices: Promise<BenchDevice[]> | undefined;
  #keyd: Promise<KeydClient> | undefined;
  #service: Service | undefined;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  /** The whole system; only before {@link keyd} is asked for. */
  deployment(): Promise<Deployment> {
    this.#deployment ??= this.#deploy();
    return this.#deployment;
  }

  devices(): Promise<BenchDevice[]> {
    this.#devices ??= this.#provision();
    return this.#devices;
  }

  /** keyd alone, over its socket. The rest of the deployment has ended. */
  keyd(): Promise<KeydClient> {
    this.#keyd ??= this.#alone();
    return this.#keyd;
  }

  async #deploy(): Promise<Deployment> {
    this.#bench.note('setting up: ceremony, keyd, serve');
    const folder = join(this.#bench.folder, 'system');
    mkdirSync(folder, { recursive: true });
    const starting = Deployment.at(folder, { ldevidSeconds: 86_400 });
    // Registered at once: a run that is interrupted here waits until there is something that can be stopped.
    this.#bench.defer(async () => (await starting).stop());
    return starting;
  }

  async #provision(): Promise<BenchDevice[]> {
    const { world } = await this.deployment();
    this.#bench.note(`setting up: IDevIDs of ${DEVICES} devices`);
    const deviceIds = { prefix: 'BENCH-', from: 1, to: DEVICES, width: 3 };
    await openTicket(world, { id: 'bench', model: 'BENCH', quota: DEVICES, line: LINE, deviceIds });
    const devices: BenchDevice[] = [];
    for (let number = 1; number <= DEVICES; number += 1) {
      const id = `BENCH-${String(number).padStart(3, '0')}`;
      const { pkcs8, csr } = await makeKeyAndCsr(id, 'P-256');
      const key = pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes));
      pkcs8.wipe();
      const request = { ticketId: 'bench', deviceId: id, csr: toPem('CERTIFICATE REQUEST', csr), line: LINE };
      const unit = await world.as('line-1').post<UnitView>('/api/v1/units', request);
      const [certificate] = fromPem('CERTIFICATE', unit.certificate);
      devices.push({
        id,
        certificate: certificate as DerCertificate,
        identity: { cert: `${unit.certificate}${unit.chain}`, key },
      });
    }
    return devices;
  }

  /** keyd alone, started anew: with what its journal tells, and nothing that is left over from work. */
  async restartedKeyd(): Promise<{ client: KeydClient; pid: number }> {
    (await this.keyd()).close();
    await this.#service?.stop();
    this.#keyd = this.#launch();
    return { client: await this.#keyd, pid: this.#service?.pid ?? 0 };
  }

  async #alone(): Promise<KeydClient> {
    await this.devices();
    const deployment = await this.deployment();
    // Its end wipes the passphrases that it holds; the next start reads them again.
    await deployment.stop(true);
    return this.#launch();
  }

  async #launch(): Promise<KeydClient> {
    const { layout } = await this.deployment();
    this.#bench.note('keyd alone');
    using passphrase = await unlock(layout, 'keyd');
    const channelKey = SecretBytes.random(32);
    const service = launchKeyd(layout, {
      passphrase: passphrase.use((bytes) => Buffer.from(bytes).toString('utf8')),
      channelKey: channelKey.use(toBase64),
      logName: 'keyd-alone',
      onExit: (how) => this.#bench.note(`keyd ended: ${how}`),
    });
    this.#service = service;
    this.#bench.defer(() => service.stop());
    await service.ready;
    const client = await KeydClient.connect(keydSocketPath(layout), channelKey);
    this.#bench.defer(() => client.close());
    return client;
  }
}

/** Requests of one device for LDevIDs, each for a fresh key, DER. The private keys are forgotten. */
export async function requestsOf(device: BenchDevice, count: number): Promise<Uint8Array[]> {
  const requests: Uint8Array[] = [];
  for (let at = 0; at < count; at += 1) {
    const { pkcs8, csr } = await makeKeyAndCsr(device.id, 'P-256');
    pkcs8.wipe();
    requests.push(csr);
  }
  return requests;
}
