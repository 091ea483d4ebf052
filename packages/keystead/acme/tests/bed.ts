import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, toBase64url, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, softwareSigner } from '@keystead/core/crypto';
import { type AuthorisationDraft, type DemoPolicyOptions, signAuthorisation } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { appendAudit } from '../../audit/index.ts';
import { DomainBed } from '../../authority/tests/bed.ts';
import { type AcmeSettings, AcmeSettingsSchema } from '../../files/acme-settings.ts';
import { registerAcme } from '../../protocols/acme/index.ts';
import { createHttpsServer } from '../../protocols/http/server.ts';
import { Acme, type Try } from '../index.ts';

export interface AcmeBedOptions {
  readonly settings?: Record<string, unknown>;
  readonly policy?: Partial<DemoPolicyOptions>;
  readonly attestationRoots?: readonly DerCertificate[];
  /** How hosts are looked at, where it is not by the settings. */
  readonly look?: Try;
}

/**
 * ACME over the real keyd, database and HTTPS server, in this process. The clock begins with the machine's time, which
 * foreign clients go by, and stands until the test moves it; nothing is tried by itself again but by `acme.tick`.
 */
export class AcmeBed {
  readonly domain: DomainBed;
  readonly folder: string;
  readonly #options: AcmeBedOptions;
  #acme: Acme | undefined;
  #app: FastifyInstance | undefined;
  #port = 0;
  #count = 0;

  private constructor(domain: DomainBed, options: AcmeBedOptions) {
    this.domain = domain;
    this.#options = options;
    this.folder = mkdtempSync(join(tmpdir(), 'keystead-acme-'));
  }

  static async make(options: AcmeBedOptions = {}): Promise<AcmeBed> {
    const domain = await DomainBed.make({}, options.policy);
    // Foreign clients look at certificates by the machine's clock.
    if (domain.clock.now() < new Date()) domain.clock.set(new Date());
    const bed = new AcmeBed(domain, options);
    await bed.start();
    return bed;
  }

  async start(): Promise<void> {
    const { store, clock, access, authority, refusals } = this.domain;
    const trust = await this.domain.keyd.client.trust();
    const settings: AcmeSettings = AcmeSettingsSchema.parse({
      allowedNetworks: ['127.0.0.0/8', '::1/128'],
      ...this.#options.settings,
    });
    const log = pino({ level: 'error' }, pino.destination({ fd: 2, sync: true }));
    this.#acme = new Acme(
      {
        ...{ store, clock, access, authority, refusals, settings, log, policy: this.domain.policy },
        audit: (tx, event) => appendAudit(tx, event, clock),
        hierarchy: {
          issuers: trust.issuers,
          newWithOld: [],
          certificates: { root: trust.certificates.root as DerCertificate },
        },
        attestationRoots: this.#options.attestationRoots ?? [],
      },
      this.#options.look,
    );
    const key = generateSoftwareKey('P-256');
    const csr = await certificationRequest('localhost', softwareSigner('P-256', key.pkcs8));
    const issued = await authority.serverCertificate({
      ...{ hosts: ['localhost', '127.0.0.1'], csr, requestId: 'tls' },
      actor: { kind: 'system', id: 'serve' },
    });
    const identity = {
      key: key.pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes)),
      cert:
        toPem('CERTIFICATE', issued.certificate) + toPem('CERTIFICATE', trust.certificates.server ?? new Uint8Array()),
      clientCas: [],
    };
    key.pkcs8.wipe();
    const { app } = createHttpsServer(identity, log);
    registerAcme(app, this.#acme, () => this.origin, log);
    await app.listen({ port: this.#port, host: '127.0.0.1' });
    const address = app.server.address();
    this.#port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    this.#app = app;
    writeFileSync(join(this.folder, 'root.pem'), toPem('CERTIFICATE', trust.certificates.root ?? new Uint8Array()));
    writeFileSync(
      join(this.folder, 'server-ca.pem'),
      toPem('CERTIFICATE', trust.certificates.server ?? new Uint8Array()),
    );
  }

  /** Ends the front end without a word, and starts it on what is in the records. */
  async restart(): Promise<void> {
    await this.#stop();
    await this.domain.restart();
    await this.start();
  }

  async #stop(): Promise<void> {
    this.#app?.server.closeAllConnections();
    await this.#app?.close();
    await this.#acme?.close();
  }

  async remove(): Promise<void> {
    await this.#stop();
    await this.domain.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get acme(): Acme {
    if (this.#acme === undefined) throw new TypeError('the bed is not started');
    return this.#acme;
  }

  get origin(): string {
    return `https://localhost:${this.#port}`;
  }

  get directory(): string {
    return `${this.origin}/acme/directory`;
  }

  /** PEM of the root, and of the server CA below it. */
  get root(): string {
    return join(this.folder, 'root.pem');
  }
  get serverCa(): string {
    return join(this.folder, 'server-ca.pem');
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** An authorisation of ada's with its secret, registered. */
  async authorise(draft: Partial<AuthorisationDraft> = {}): Promise<{ id: string; secret: string }> {
    this.#count += 1;
    const now = this.domain.clock.now().getTime();
    const whole = (ms: number): string => `${new Date(now + ms).toISOString().slice(0, 19)}Z`;
    const id = draft.id ?? `acme-${this.#count}`;
    const named =
      draft.deviceIds === undefined
        ? { hosts: ['localhost', '127.0.0.1', 'plant.example', '*.plant.example'], profile: 'tls-server' }
        : { profile: 'ldevid' };
    const { signer } = this.domain.keyd.people.ada;
    const times = { notBefore: whole(-60_000), notAfter: whole(30 * 86_400_000) };
    const rest = { uses: 50, ways: ['acme'], approval: false } satisfies Partial<AuthorisationDraft>;
    const document = await signAuthorisation({ ...named, ...times, ...rest, ...draft, id }, 'ada', signer);
    const secret = toBase64url(randomBytes(32));
    const by = { actor: { kind: 'operator', id: 'ada' }, requestId: 'register' } as const;
    await this.domain.authority.authorisations.register(document, secret, by);
    return { id, secret };
  }
}

/**
 * Ports for the server of a test, taken before the settings name them. They lie below those that the kernel gives to
 * outgoing connections, and are chosen by the process, so that test files that run side by side do not share them.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let port = 20_000 + (process.pid % 2_000) * 6; found.length < count; port += 1) {
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    found.push(port);
    await new Promise((resolve) => probe.close(resolve));
  }
  return found;
}
