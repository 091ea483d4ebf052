import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, type DerCrl, toBase64, toHex } from '@keystead/core/bytes';
import { certSha256, SecretBytes, sha256 } from '@keystead/core/crypto';
import { contentsSha256, type Parcel, parseConsignment } from '@keystead/core/lifecycle';
import { pino } from 'pino';
import { csrFor, type DomainBed, makeKey, type TestKey } from '../../authority/tests/bed.ts';
import { Layout } from '../../files/layout.ts';
import { importCommission } from '../../keyd/factory/import.ts';
import { factoryRequestPath, initFactoryNode } from '../../keyd/factory/init.ts';
import { type OpenKeyd, openKeyd } from '../../keyd/main.ts';
import { commissionBy } from '../../keyd/tests/factory-bed.ts';
import { KeydClient, type Result } from '../../keyd-client/index.ts';

const secret = (text: string): SecretBytes => SecretBytes.take(new TextEncoder().encode(text));

/** The real keyd of a factory node that the real keyd of headquarters has commissioned. */
export class CommissionedNode {
  readonly name: string;
  readonly hq: DomainBed;
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-reconcile-node-'));
  readonly layout = new Layout(join(this.dir, 'data'));
  readonly made = new Map<string, Result<'provision'>>();
  #keyd: OpenKeyd | undefined;
  #client: KeydClient | undefined;
  #ticket: string | undefined;

  constructor(hq: DomainBed, name: string) {
    this.hq = hq;
    this.name = name;
  }

  get client(): KeydClient {
    assert.ok(this.#client);
    return this.#client;
  }

  async found(): Promise<this> {
    const { keyd } = this.hq;
    await initFactoryNode(this.layout, secret('node'), keyd.clock, { name: this.name });
    const request = readFileSync(factoryRequestPath(this.layout));
    const order = {
      id: `o-${this.name}`,
      act: 'commission' as const,
      factory: this.name,
      requestSha256: toHex(sha256(request)),
      deviceIdPrefixes: ['KS-'],
      serverNames: ['127.0.0.1'],
      seconds: 30 * 86_400,
    };
    const statements = [
      await commissionBy(keyd, 'ada', order),
      await commissionBy(keyd, 'pol', order, { act: 'approve' }),
    ];
    const { crl: lists } = keyd.rehearsal.layout;
    const trust = await keyd.client.trust();
    const crls = ['root', 'manufacturing', 'server', 'operator'].map(
      (ca) => new Uint8Array(readFileSync(join(lists, `${ca}.crl`))) as DerCrl,
    );
    const { commission } = await keyd.client.commissionFactory({ request, statements, crls, requestId: 'commission' });
    const { certificates } = trust;
    await importCommission(this.layout, keyd.clock, {
      file: Buffer.from(commission, 'utf8'),
      rootSha256: certSha256(certificates.root as DerCertificate),
      passphrase: async () => secret('node'),
    });
    await this.start();
    return this;
  }

  async start(): Promise<void> {
    const channelKey = SecretBytes.random(32);
    const copy = () => channelKey.use((bytes) => SecretBytes.copy(bytes));
    const log = pino({ level: 'silent' });
    const secrets = { passphrase: secret('node'), channelKey: copy() };
    this.#keyd = await openKeyd({ layout: this.layout, secrets, clock: this.hq.keyd.clock, log });
    this.#client = await KeydClient.connect(this.#keyd.socketPath, copy());
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#keyd?.close();
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** One and the same: ECDSA signs the same ticket in another way each time. */
  async ticket(): Promise<string> {
    this.#ticket ??= await this.hq.keyd.ticket({ id: `T-${this.name}`, factory: this.name });
    return this.#ticket;
  }

  async provision(deviceId: string, key: TestKey = makeKey()): Promise<TestKey> {
    const unit = { station: 'station-1', operator: 'lin', line: 'line-1', requestId: `p-${deviceId}` };
    const csr = await csrFor(deviceId, key);
    const made = await this.client.provision({ ticket: await this.ticket(), deviceId, csr, ...unit });
    this.made.set(made.serial, made);
    return key;
  }

  async parcel(number: number): Promise<Parcel> {
    const { document } = await this.client.signConsignment({ number, requestId: 'consign' });
    assert.ok(document !== null);
    const { content, sha256: consignmentSha256 } = parseConsignment(document);
    const contents = content.units.map(({ serial }) => {
      const made = this.made.get(serial);
      if (made === undefined) return null;
      const { certificate, record, signature } = made;
      return { certificate: toBase64(certificate), record, signature: toBase64(signature) };
    });
    const packed = { tickets: [await this.ticket()], contents };
    const hashes = { consignmentSha256, contentsSha256: contentsSha256(packed) };
    const { seal } = await this.client.sealParcel({ number, ...hashes, requestId: 'seal' });
    return { v: 1, consignment: document, ...packed, seal };
  }
}
