import { createConnection, type Socket } from 'node:net';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { generateSoftwareKey, SecretBytes, type Signer, softwareSigner } from '@keystead/core/crypto';
import {
  type BatchTicketDraft,
  type DemoPolicyOptions,
  type Policy,
  parsePolicy,
  signTicket,
} from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import { pino } from 'pino';
import { passphrase, Rehearsal } from '../../ceremony/tests/rehearsal.ts';
import type { Layout } from '../../files/layout.ts';
import { KeydClient, type Result } from '../../keyd-client/index.ts';
import type { Channel } from '../channel.ts';
import { greetPeer } from '../handshake.ts';
import { importBundle } from '../import.ts';
import { type OpenKeyd, openKeyd } from '../main.ts';
import { AnswerSchema } from '../protocol.ts';

export const KEYD_PASSPHRASE = 'the passphrase of keyd';
const START = new Date('2026-03-01T08:00:00.000Z');

/** A key of a device or a person that a test made. */
export interface TestKey {
  readonly signer: Signer;
  readonly spki: DerSpki;
}

export function makeKey(algorithm: 'P-256' | 'P-384' | 'Ed25519' | 'RSA-3072' = 'P-256'): TestKey {
  const { pkcs8, spki } = generateSoftwareKey(algorithm);
  return { signer: softwareSigner(algorithm, pkcs8), spki };
}

/** A certification request with CN=`name`. */
export const csrFor = (name: string, key: TestKey = makeKey()): Promise<Uint8Array> =>
  certificationRequest(name, key.signer);

/** Answer of keyd to a message that was made by hand. */
export interface RawAnswer {
  readonly ok?: unknown;
  readonly error?: { code: string; message: string; field?: string; seen?: string };
}

/**
 * A keyd after its ceremony, in this process, with a clock that the test sets, three operators in its policy (`ada`,
 * ca-operator; `lin`, line-operator; `aud`, auditor) and a client that holds the channel key.
 */
export class KeydBed {
  readonly rehearsal: Rehearsal;
  readonly clock: SimulatedClock;
  readonly people: Readonly<Record<'ada' | 'lin' | 'aud', TestKey>>;
  readonly policy: Policy;
  readonly #channelKey = SecretBytes.random(32);
  readonly #clients: KeydClient[] = [];
  #keyd: OpenKeyd | undefined;
  #client: KeydClient | undefined;

  private constructor(rehearsal: Rehearsal, clock: SimulatedClock, people: KeydBed['people'], policy: Policy) {
    this.rehearsal = rehearsal;
    this.clock = clock;
    this.people = people;
    this.policy = policy;
  }

  /** @param prepare as `Rehearsal.make` takes it. */
  static async make(policy: Partial<DemoPolicyOptions> = {}, prepare?: (layout: Layout) => void): Promise<KeydBed> {
    const clock = new SimulatedClock(START);
    const people = { ada: makeKey(), lin: makeKey(), aud: makeKey() };
    const operators = [
      { name: 'ada', roles: ['ca-operator'], spki: people.ada.spki },
      { name: 'lin', roles: ['line-operator'], spki: people.lin.spki },
      { name: 'aud', roles: ['auditor'], spki: people.aud.spki },
    ] as const;
    const rehearsal = await Rehearsal.make({ operators, ...policy }, clock, prepare);
    await rehearsal.run();
    await importBundle(rehearsal.layout, passphrase(KEYD_PASSPHRASE), clock);
    const bed = new KeydBed(rehearsal, clock, people, parsePolicy(rehearsal.output('policy.json')));
    await bed.start();
    return bed;
  }

  get dir(): string {
    return this.rehearsal.layout.keyd;
  }

  get socketPath(): string {
    if (this.#keyd === undefined) throw new Error('keyd is not running');
    return this.#keyd.socketPath;
  }

  get client(): KeydClient {
    if (this.#client === undefined) throw new Error('keyd is not running');
    return this.#client;
  }

  /** The channel key, a copy each time: a client wipes its own. */
  channelKey(): SecretBytes {
    return this.#channelKey.use((bytes) => SecretBytes.copy(bytes));
  }

  async start(handshakeMs?: number): Promise<void> {
    const log = pino({ level: 'silent' });
    const secrets = { passphrase: passphrase(KEYD_PASSPHRASE), channelKey: this.channelKey() };
    this.#keyd = await openKeyd({ layout: this.rehearsal.layout, secrets, clock: this.clock, log, handshakeMs });
    this.#client = await this.connect();
  }

  async connect(): Promise<KeydClient> {
    const client = await KeydClient.connect(this.socketPath, this.channelKey());
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
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
    this.rehearsal.remove();
  }

  /** A connected socket that has proven nothing. */
  async socket(): Promise<Socket> {
    const socket = createConnection(this.socketPath);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  }

  /** An authenticated channel without the client's care for what it sends. */
  async hostile(): Promise<HostileFrontEnd> {
    return new HostileFrontEnd(await greetPeer(await this.socket(), this.channelKey()));
  }

  /** A ticket for `quota` units with the ids KS-0001 to KS-0100, signed by ada unless another is named. */
  ticket(
    more: Partial<BatchTicketDraft> = {},
    by: { name: string; key: TestKey } = { name: 'ada', key: this.people.ada },
  ): Promise<string> {
    const now = this.clock.now().getTime();
    return signTicket(
      {
        id: 'batch-1',
        model: 'KS-PUMP-1',
        quota: 10,
        notBefore: new Date(now - 60_000).toISOString(),
        notAfter: new Date(now + 86_400_000).toISOString(),
        lines: ['line-1'],
        deviceIds: { prefix: 'KS-', from: 1, to: 100, width: 4 },
        profile: 'idevid',
        ...more,
      },
      by.name,
      by.key.signer,
    );
  }

  /** Provisions one device. */
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

  /** Asks for an LDevID with the certificate that a device showed. */
  async enrol(deviceId: string, certificate: DerCertificate, key: TestKey = makeKey()): Promise<Result<'issue'>> {
    return this.client.issue({
      profile: 'ldevid',
      csr: await csrFor(deviceId, key),
      requester: { kind: 'device', id: deviceId, certificate },
      requestId: `enrol-${deviceId}`,
    });
  }
}

/** A front end that was taken over: it holds the channel key and sends what it likes. */
export class HostileFrontEnd {
  readonly #channel: Channel;
  readonly #waiting = new Map<unknown, (answer: RawAnswer) => void>();
  readonly closed: Promise<string>;
  #id = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.closed = new Promise((resolve) => {
      channel.open({
        message: (text) => {
          const answer = AnswerSchema.parse(JSON.parse(text));
          this.#waiting.get(answer.id)?.(answer);
        },
        closed: (why) => resolve(why?.code ?? 'closed'),
      });
    });
  }

  /** Sends any operation with any parameters (JSON), and waits for the answer. */
  ask(op: string, params: unknown): Promise<RawAnswer> {
    this.#id += 1;
    const id = this.#id;
    const answered = new Promise<RawAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    this.text(JSON.stringify({ id, op, params }));
    return Promise.race([answered, this.closed.then((code): RawAnswer => ({ error: { code, message: 'cut off' } }))]);
  }

  text(message: string): void {
    this.#channel.send(message);
  }

  end(): void {
    this.#channel.destroy();
  }
}
