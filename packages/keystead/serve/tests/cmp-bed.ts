import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, fromPem, toBase64url, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, softwareSigner } from '@keystead/core/crypto';
import { type AuthorisationDraft, type DemoPolicyOptions, signAuthorisation } from '@keystead/core/lifecycle';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { DomainBed, type TestDevice } from '../../authority/tests/bed.ts';
import { CmpResponder, registerCmp } from '../../protocols/cmp/index.ts';
import { type CmpRooms, cmpDomain } from '../cmp-domain.ts';
import { ServedHierarchy } from '../served-hierarchy.ts';

export interface Done {
  readonly status: number;
  readonly text: string;
}

/** A device whose key and IDevID are files, as `openssl cmp` takes them. */
export interface FileDevice extends TestDevice {
  readonly keyFile: string;
  readonly certFile: string;
}

/**
 * CMP over HTTP, in this process, over the real domain and the real keyd, on the time of the machine: openssl has no
 * other. Files that openssl reads and writes stand in a directory of the test's own.
 */
export class CmpBed {
  readonly domain: DomainBed;
  readonly responder: CmpResponder;
  readonly url: string;
  /** Every message that came and went. */
  readonly wire: Uint8Array[] = [];
  readonly #folder: string;
  readonly #app: FastifyInstance;

  private constructor(domain: DomainBed, responder: CmpResponder, app: FastifyInstance, url: string) {
    this.domain = domain;
    this.responder = responder;
    this.#app = app;
    this.url = url;
    this.#record(responder.answer.bind(responder));
    this.#folder = mkdtempSync(join(tmpdir(), 'keystead-cmp-'));
  }

  static async make(policy: Partial<DemoPolicyOptions> = {}, log = pino({ level: 'silent' })): Promise<CmpBed> {
    const domain = await DomainBed.make(
      {},
      { lifetimes: { ldevid: { seconds: 3600, backdateSeconds: 30 } }, ...policy },
    );
    domain.clock.set(new Date());
    const responder = new CmpResponder(cmpDomain(await roomsOf(domain)), log);
    const server: Server = createServer();
    const app = Fastify({ serverFactory: (handler) => server.on('request', handler), logger: false });
    registerCmp(app, responder, log);
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = server.address() as AddressInfo;
    const bed = new CmpBed(domain, responder, app, `http://127.0.0.1:${port}`);
    const { certificates } = await domain.keyd.client.trust();
    for (const [role, der] of Object.entries(certificates)) bed.write(`${role}.pem`, toPem('CERTIFICATE', der));
    return bed;
  }

  #record(answer: CmpResponder['answer']): void {
    this.responder.answer = async (asked) => {
      const given = await answer(asked);
      this.wire.push(asked.message, given.body);
      return given;
    };
  }

  /** A new process of serve on the same records. */
  async restart(): Promise<void> {
    await this.domain.restart();
    const fresh = new CmpResponder(cmpDomain(await roomsOf(this.domain)), pino({ level: 'silent' }));
    this.#record(fresh.answer.bind(fresh));
  }

  async end(): Promise<void> {
    await this.#app.close();
    await this.domain.remove();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  path(name: string): string {
    return join(this.#folder, name);
  }
  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }
  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }
  certificate(name: string): DerCertificate {
    const [der] = fromPem('CERTIFICATE', this.read(name));
    if (der === undefined) throw new TypeError(`no certificate in ${name}`);
    return der as DerCertificate;
  }

  /** The clock of the server follows that of the machine. */
  async cmp(...args: string[]): Promise<Done> {
    this.domain.clock.set(new Date());
    return run(['cmp', '-config', '', '-batch', '-verbosity', '6', '-server', this.url, ...args]);
  }

  /** openssl's options to sign with a certificate, and to believe what the root vouches for. */
  signing(by: { certFile: string; keyFile: string }): string[] {
    const trust = ['-trusted', this.path('root.pem'), '-untrusted', this.path('operational.pem')];
    return ['-cert', by.certFile, '-key', by.keyFile, ...trust, '-unprotected_errors', '-path', '/.well-known/cmp'];
  }

  /** openssl's options to use a shared secret. */
  secret(id: string, secret: string): string[] {
    // Never in argv, where everybody sees it.
    const file = this.write(`${id}.secret`, secret);
    return ['-ref', id, '-secret', `file:${file}`, '-unprotected_errors', '-path', '/.well-known/cmp'];
  }

  /** A new key as a file, PEM. */
  key(name: string): string {
    const { pkcs8 } = generateSoftwareKey('P-256');
    return pkcs8.use((bytes) => this.write(name, toPem('PRIVATE KEY', bytes)));
  }

  async device(id: string): Promise<FileDevice> {
    const { pkcs8, spki } = generateSoftwareKey('P-256');
    const device = await this.domain.device(id, { signer: softwareSigner('P-256', pkcs8), spki });
    const keyFile = pkcs8.use((bytes) => this.write(`${id}.key`, toPem('PRIVATE KEY', bytes)));
    return { ...device, keyFile, certFile: this.write(`${id}.pem`, toPem('CERTIFICATE', device.idevid)) };
  }

  /** An authorisation that ada signed; gives its secret as it is given out. */
  async authorise(id: string, more: Partial<AuthorisationDraft>): Promise<string> {
    const { keyd, authority, clock } = this.domain;
    const whole = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
    const now = clock.now().getTime();
    const draft: AuthorisationDraft = {
      id,
      profile: 'ldevid',
      uses: 5,
      notBefore: whole(now - 60_000),
      notAfter: whole(now + 3_600_000),
      ways: ['cmp'],
      approval: false,
      ...(more.hosts === undefined ? { deviceIds: { prefix: 'KS-', from: 1, to: 100, width: 4 } } : {}),
      ...more,
    };
    const document = await signAuthorisation(draft, 'ada', keyd.people.ada.signer);
    const secret = SecretBytes.random(32).use(toBase64url);
    const by = { actor: { kind: 'operator', id: 'ada' }, requestId: `authorise-${id}` } as const;
    await authority.authorisations.register(document, secret, by);
    return secret;
  }
}

async function roomsOf(domain: DomainBed): Promise<CmpRooms> {
  const trust = await domain.keyd.client.trust();
  return {
    get access() {
      return domain.access;
    },
    get authority() {
      return domain.authority;
    },
    get store() {
      return domain.store;
    },
    hierarchy: new ServedHierarchy(trust, domain.clock),
    clock: domain.clock,
    policy: domain.policy,
  };
}

/** Runs openssl; what it printed on both ways. */
export function run(args: readonly string[]): Promise<Done> {
  return new Promise((resolve) => {
    execFile('openssl', args, { timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), text: stdout + stderr }),
    );
  });
}
