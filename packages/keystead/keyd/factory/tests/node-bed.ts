import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SimulatedClock } from '@keystead/core/clock';
import { SecretBytes } from '@keystead/core/crypto';
import type { BatchTicketDraft, DemoPolicyOptions } from '@keystead/core/lifecycle';
import { pino } from 'pino';
import { Layout } from '../../../files/layout.ts';
import { KeydClient, type Result } from '../../../keyd-client/index.ts';
import { type OpenKeyd, openKeyd } from '../../main.ts';
import { csrFor, makeKey, type TestKey } from '../../tests/bed.ts';
import { importCommission } from '../import.ts';
import { factoryRequestPath, initFactoryNode } from '../init.ts';
import type { NodePins } from '../pins.ts';
import { type CommissionWanted, FakeHeadquarters } from './headquarters.ts';

export const NODE_PASSPHRASE = 'the passphrase of the node';
const START = new Date('2026-03-01T08:00:00.000Z');
export const passphrase = (text = NODE_PASSPHRASE): SecretBytes => SecretBytes.take(new TextEncoder().encode(text));

/** The keyd of a factory node `berlin-1` in this process, and headquarters as the test plays it. */
export class NodeBed {
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-factory-node-'));
  readonly layout: Layout;
  readonly clock: SimulatedClock;
  readonly headquarters: FakeHeadquarters;
  readonly #channelKey = SecretBytes.random(32);
  #keyd: OpenKeyd | undefined;
  #client: KeydClient | undefined;

  private constructor(clock: SimulatedClock, headquarters: FakeHeadquarters) {
    this.clock = clock;
    this.headquarters = headquarters;
    this.layout = new Layout(join(this.dir, 'data'));
  }

  /** A node that has made its keys and its request, and waits for its commission. */
  static async asking(policy: Partial<DemoPolicyOptions> = {}): Promise<NodeBed> {
    const clock = new SimulatedClock(START);
    const bed = new NodeBed(clock, await FakeHeadquarters.make(clock, policy));
    await initFactoryNode(bed.layout, passphrase(), clock, { name: 'berlin-1' });
    return bed;
  }

  /** A node that is commissioned and runs. */
  static async make(policy: Partial<DemoPolicyOptions> = {}): Promise<NodeBed> {
    const bed = await NodeBed.asking(policy);
    await bed.import(await bed.commission());
    await bed.start();
    return bed;
  }

  get request(): Uint8Array {
    return readFileSync(factoryRequestPath(this.layout));
  }

  commission(wanted: CommissionWanted = {}): Promise<string> {
    return this.headquarters.commission(this.request, wanted);
  }

  import(text: string, rootSha256: string | undefined = this.headquarters.rootSha256): Promise<NodePins> {
    return importCommission(this.layout, this.clock, {
      file: Buffer.from(text, 'utf8'),
      rootSha256,
      passphrase: async () => passphrase(),
    });
  }

  get client(): KeydClient {
    if (this.#client === undefined) throw new Error('keyd is not running');
    return this.#client;
  }

  async start(): Promise<void> {
    const channelKey = () => this.#channelKey.use((bytes) => SecretBytes.copy(bytes));
    const secrets = { passphrase: passphrase(), channelKey: channelKey() };
    this.#keyd = await openKeyd({ layout: this.layout, secrets, clock: this.clock, log: pino({ level: 'silent' }) });
    this.#client = await KeydClient.connect(this.#keyd.socketPath, channelKey());
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#keyd?.close();
    this.#keyd = undefined;
    this.#client = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** A ticket for ten units with the ids B1-0001 to B1-0100, signed by ada. */
  ticket(more: Partial<BatchTicketDraft> = {}): Promise<string> {
    return this.headquarters.ticket(more);
  }

  async provision(deviceId: string, ticket: string, key: TestKey = makeKey()): Promise<Result<'provision'>> {
    return this.client.provision({
      ticket,
      deviceId,
      csr: await csrFor(deviceId, key),
      station: 'station-1',
      operator: 'lin',
      line: 'line-1',
      requestId: `provision-${deviceId}`,
    });
  }
}
