import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, type Signer, softwareSigner } from '@keystead/core/crypto';
import { type BatchTicketDraft, profileOf } from '@keystead/core/lifecycle';
import { systemClock } from 'keystead/clock/system.ts';
import { type Config, openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { importCommission } from 'keystead/keyd/factory/import.ts';
import { factoryRequestPath, initFactoryNode } from 'keystead/keyd/factory/init.ts';
import { FakeHeadquarters, issue } from 'keystead/keyd/factory/tests/headquarters.ts';
import { Service } from 'keystead/start/process.ts';
import { portsOfProcess } from './deployment.ts';

const PASSPHRASE = 'the passphrase of the node';
const secret = (): SecretBytes => SecretBytes.take(new TextEncoder().encode(PASSPHRASE));

/** A person of headquarters who stands at the line: certificate and key. */
export interface Person {
  readonly name: string;
  readonly certificate: DerCertificate;
  readonly keyPem: string;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * A factory node `berlin-1` in processes of its own, keyd and serve as the program starts them, with a headquarters that
 * the test plays: for tests. Its headquarters' CRLs stand at an address that the test names, or nowhere.
 */
export class RunningNode {
  readonly folder: string;
  readonly layout: Layout;
  readonly config: Config;
  readonly headquarters: FakeHeadquarters;
  /** Services that ended without being asked to. */
  readonly deaths: string[] = [];
  readonly #services = new Map<'keyd' | 'serve', Service>();
  readonly #channelKey = SecretBytes.random(32);
  readonly #lin: string;

  private constructor(folder: string, config: Config, headquarters: FakeHeadquarters, lin: string) {
    this.folder = folder;
    this.layout = new Layout(join(folder, 'data'));
    this.config = config;
    this.headquarters = headquarters;
    this.#lin = lin;
  }

  /** @param urls where headquarters' CRLs are, as `Policy.urls`. */
  static async start(urls?: { crl: string }): Promise<RunningNode> {
    const folder = mkdtempSync(join(tmpdir(), 'keystead-running-node-'));
    const layout = new Layout(join(folder, 'data'));
    mkdirSync(layout.data, { recursive: true, mode: 0o700 });
    const config = await openConfig(layout, systemClock, 3600, portsOfProcess());
    const key = generateSoftwareKey('P-256');
    const lin = key.pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes));
    const headquarters = await FakeHeadquarters.make(
      systemClock,
      { ...(urls === undefined ? {} : { urls }) },
      { lin: softwareSigner('P-256', key.pkcs8) },
    );
    const node = new RunningNode(folder, config, headquarters, lin);
    try {
      using passphrase = secret();
      await initFactoryNode(layout, passphrase, systemClock, { name: 'berlin-1' });
      await node.import(await headquarters.commission(readFileSync(factoryRequestPath(layout))));
      await node.up();
      return node;
    } catch (error) {
      await node.remove();
      throw error;
    }
  }

  async import(text: string): Promise<void> {
    const { rootSha256 } = this.headquarters;
    const file = Buffer.from(text);
    await importCommission(this.layout, systemClock, { file, rootSha256, passphrase: async () => secret() });
  }

  /** Starts keyd and serve. */
  async up(): Promise<void> {
    await this.#run('keyd', {
      passphrase: PASSPHRASE,
      channelKey: this.#channelKey.use((key) => Buffer.from(key).toString('base64')),
    });
    await this.#run('serve', { channelKey: this.#channelKey.use((key) => Buffer.from(key).toString('base64')) });
  }

  /** Stops both, serve first. */
  async down(): Promise<void> {
    for (const name of ['serve', 'keyd'] as const) {
      await this.#services.get(name)?.stop();
      this.#services.delete(name);
    }
  }

  log(name: 'keyd' | 'serve'): string {
    return readFileSync(join(this.folder, `${name}.log`), 'utf8');
  }

  async #run(name: 'keyd' | 'serve', secrets: object): Promise<void> {
    const service = new Service({
      name,
      args: [name, '--data', this.layout.data, '--secrets-fd', '3', '--with-parent'],
      secrets,
      logFile: join(this.folder, `${name}.log`),
      onExit: (how) => this.deaths.push(`${name}: ${how}`),
    });
    this.#services.set(name, service);
    await service.ready;
  }

  async remove(): Promise<void> {
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `lin`, line-operator, with the certificate that headquarters gave; or with another certificate for the same key. */
  async lin(more: { readonly certificate?: DerCertificate } = {}): Promise<Person> {
    const certificate = more.certificate ?? (await this.headquarters.operator('lin'));
    return { name: 'lin', certificate, keyPem: this.#lin };
  }

  /** A ca-operator who opens batches. */
  async person(name: string, key: Signer, keyPem: string): Promise<Person> {
    const { policy, cas, clock } = this.headquarters;
    const certificate = await issue(profileOf(policy, 'operator'), { person: name }, key, cas.operator, clock.now());
    return { name, certificate, keyPem };
  }

  ticket(more: Partial<BatchTicketDraft> = {}): Promise<string> {
    return this.headquarters.ticket(more);
  }

  /** The anchor that a station trusts, as a file. */
  get rootFile(): string {
    const path = join(this.folder, 'root.pem');
    writeFileSync(path, toPem('CERTIFICATE', this.headquarters.cas.root.certificate));
    return path;
  }

  /** One request to the node over mutual TLS; the server's chain must lead to headquarters' root. */
  ask(method: string, path: string, who?: Person, body?: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = httpsRequest(
        {
          host: 'localhost',
          port: this.config.ports.https,
          method,
          path,
          ca: toPem('CERTIFICATE', this.headquarters.cas.root.certificate),
          ...(who === undefined ? {} : { cert: toPem('CERTIFICATE', who.certificate), key: who.keyPem }),
          agent: false,
          headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: response.statusCode ?? 0, body: text.startsWith('{') ? JSON.parse(text) : text });
          });
          response.on('error', reject);
        },
      );
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
