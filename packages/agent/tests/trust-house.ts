import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DerSpki, Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type Signer, spkiSha256 } from '@keystead/core/crypto';
import { type BundleContent, buildDelta, buildFilter, filterSha256, signBundle } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { newSigner } from '../../core/trust/tests/bundle-source.ts';
import { factoryTrust } from '../index.ts';
import type { HeldTrust } from '../state/index.ts';
import type { Fleet } from './fleet.ts';

export const DAY = 86_400;

/** What the next bundle says that differs from the usual. */
export interface BundleWish extends Partial<BundleContent> {
  readonly by?: Signer;
}

/**
 * Who signs a fleet's bundles and puts them under /trust/, for tests: a double of what keyd and serve do, by the
 * contract of docs/trust-bundle.md. It signs what it is told, also what no keyd would.
 */
export class TrustHouse {
  readonly files = new Map<string, Uint8Array>();
  readonly asked: string[] = [];
  /** Answers 503 to everything. */
  away = false;
  readonly #fleet: Fleet;
  readonly #clock: Clock;
  readonly #server: Server;
  #signers: Signer[] = [newSigner()];
  #signerChanges: number[] = [];
  #version = 0;
  #chain: Uint8Array[] = [];

  private constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#clock = fleet.clock;
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.asked.push(path);
      const body = this.files.get(path);
      if (this.away || body === undefined) return response.writeHead(this.away ? 503 : 404).end();
      const etag = `"${filterSha256(body)}"`;
      if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end();
      return response.writeHead(200, { etag }).end(body);
    });
  }

  static async start(fleet: Fleet): Promise<TrustHouse> {
    const house = new TrustHouse(fleet);
    await new Promise<void>((resolve) => house.#server.listen(0, '127.0.0.1', resolve));
    return house;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get version(): number {
    return this.#version;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** What a device of this fleet is made with now. */
  factoryTrust(): HeldTrust {
    return factoryTrust(
      'pumps',
      this.#windows().map(({ spki, from, until }) => ({ spki, from: date(from), until: date(until) })),
    );
  }

  /** From the next bundle on, others sign the ones after it. */
  rotateSigner(): { before: Signer } {
    const before = this.signer;
    this.#signers = [newSigner()];
    this.#signerChanges.push(this.#version + 1);
    return { before };
  }

  get signer(): Signer {
    const [first] = this.#signers;
    if (first === undefined) throw new Error('no signer');
    return first;
  }

  /** A bundle that keeps every rule, with what is wished. */
  async bundle(wish: BundleWish = {}): Promise<Uint8Array> {
    const { by = this.signer, ...more } = wish;
    const at = this.seconds();
    const content: BundleContent = {
      v: 1,
      fleet: 'pumps',
      version: this.#version + 1,
      issuedAt: at,
      expires: at + 30 * DAY,
      anchors: (['server', 'device'] as const).map((role) => ({
        role,
        certificate: this.#fleet.root.certificate,
        from: at - DAY,
        until: Math.floor(readCertificate(this.#fleet.root.certificate).notAfter.getTime() / 1000),
      })),
      pins: [],
      signers: this.#windows(),
      firmware: [],
      filterSha256: null,
      ...more,
    };
    return signBundle(content, by);
  }

  /** Signs the next bundle and publishes it as the newest; resolves to its bytes. */
  async publish(wish: BundleWish = {}): Promise<Uint8Array> {
    const bytes = await this.bundle(wish);
    this.#version = wish.version ?? this.#version + 1;
    this.files.set(`/trust/bundles/${this.#version}`, bytes);
    this.files.set('/trust/latest', bytes);
    const index = { fleet: 'pumps', latest: this.#version, signerChanges: this.#signerChanges };
    this.files.set('/trust/index.json', Buffer.from(JSON.stringify(index)));
    return bytes;
  }

  /** A filter over what one CA has issued, whole or as a delta of the one before; resolves to its name. */
  filter(issuer: DerSpki, serials: readonly Serial[], revoked: ReadonlySet<Serial>, kind: 'whole' | 'delta'): string {
    const source = {
      issuers: [
        {
          issuerSpkiSha256: spkiSha256(issuer) as SpkiSha256,
          serials,
          isRevoked: (serial: Serial) => revoked.has(serial),
        },
      ],
      date: this.#clock.now(),
      backdateSeconds: 0,
      expires: new Date(this.#clock.now().getTime() + 60 * DAY * 1000),
    };
    const [base, ...deltas] = this.#chain;
    const bytes = kind === 'whole' || base === undefined ? buildFilter(source) : buildDelta(source, base, deltas);
    this.#chain = kind === 'whole' ? [bytes] : [...this.#chain, bytes];
    const name = filterSha256(bytes);
    this.files.set(`/trust/filters/${name}`, bytes);
    return name;
  }

  seconds(): number {
    return Math.floor(this.#clock.now().getTime() / 1000);
  }

  #windows(): BundleContent['signers'] {
    const at = this.seconds();
    return this.#signers.map(({ spki }) => ({ spki, from: at - 10 * DAY, until: at + 3000 * DAY }));
  }
}

const date = (seconds: number): Date => new Date(seconds * 1000);
