import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, type DerCrl, toBase64, toHex } from '@keystead/core/bytes';
import { certSha256, SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Parcel, parseConsignment, parseReceipt, signResolution } from '@keystead/core/lifecycle';
import { pino } from 'pino';
import { csrFor, DomainBed, makeKey, type TestKey } from '../../authority/tests/bed.ts';
import { Layout } from '../../files/layout.ts';
import { importCommission } from '../../keyd/factory/import.ts';
import { factoryRequestPath, initFactoryNode } from '../../keyd/factory/init.ts';
import { type OpenKeyd, openKeyd } from '../../keyd/main.ts';
import { commissionBy } from '../../keyd/tests/factory-bed.ts';
import { KeydClient, type Result } from '../../keyd-client/index.ts';

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const secret = (text: string): SecretBytes => SecretBytes.take(new TextEncoder().encode(text));

/** The real keyd of a factory node that the real keyd of headquarters has commissioned. */
class Node {
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
    const contents = parseConsignment(document).content.units.map(({ serial }) => {
      const made = this.made.get(serial);
      if (made === undefined) return null;
      const { certificate, record, signature } = made;
      return { certificate: toBase64(certificate), record, signature: toBase64(signature) };
    });
    return { v: 1, consignment: document, tickets: [await this.ticket()], contents };
  }
}

let hq: DomainBed;
let berlin: Node;
let lyon: Node;

before(async () => {
  hq = await DomainBed.make({}, { factory: {} });
  berlin = await new Node(hq, 'berlin-1').found();
  lyon = await new Node(hq, 'lyon-2').found();
});

after(async () => {
  await berlin?.remove();
  await lyon?.remove();
  await hq?.remove();
});

test('TEST-KEY-17 units of a factory come into the records of headquarters once, however often they are sent, and can enrol then and not before', async () => {
  const key = await berlin.provision('KS-0001');
  const [made] = berlin.made.values();
  assert.ok(made);
  await assert.rejects(hq.keyd.enrol('KS-0001', made.certificate), code('requester.not-reconciled'));
  const parcel = await berlin.parcel(1);
  assert.deepEqual(await berlin.parcel(1), parcel, 'the same number is the same consignment');
  const first = await hq.provisioning.takeParcel(parcel, 'exchange-1');
  const again = await hq.provisioning.takeParcel(parcel, 'exchange-2');
  assert.deepEqual([first.taken, first.repeated, again.repeated], [1, false, true]);
  assert.equal(first.receipt, again.receipt);
  assert.equal(hq.entries().filter(({ type }) => type === 'consignment.taken').length, 1);
  const told = hq
    .entries()
    .filter(({ type, subject }) => type === 'device.provisioned' && subject.device === 'KS-0001');
  assert.equal(told.length, 1);
  const record = hq.store.read((records) => records.provisioningRecord('KS-0001'));
  assert.equal(record?.record, made.record);
  assert.equal(record?.issuer, 'factory.berlin-1');
  assert.ok((await hq.keyd.enrol('KS-0001', made.certificate)).certificate);
  await assert.rejects(hq.keyd.provision('KS-0001', await hq.keyd.ticket(), key), code('device.already-provisioned'));
});

test('a node that is killed goes on with the next number, and gives out an earlier one as it was', async () => {
  const before = await berlin.parcel(1);
  await berlin.stop();
  await berlin.start();
  assert.equal((await berlin.parcel(1)).consignment, before.consignment);
  assert.equal((await berlin.client.signConsignment({ number: 2, requestId: 'r' })).document, null);
  await assert.rejects(berlin.client.signConsignment({ number: 4, requestId: 'r' }), code('consignment.number-ahead'));
  await assert.rejects(hq.keyd.client.signConsignment({ number: 1, requestId: 'r' }), code('consignment.not-a-node'));
});

test('TEST-KEY-19 the same key at two factories: the later one is in quarantine, both are in the log, and an operator says which is right', async () => {
  const key = await berlin.provision('KS-0002');
  await lyon.provision('KS-0003', key);
  const early = await hq.provisioning.takeParcel(await berlin.parcel(2), 'exchange-3');
  const late = await hq.provisioning.takeParcel(await lyon.parcel(1), 'exchange-4');
  assert.deepEqual([early.quarantined, late.quarantined], [0, 1]);
  assert.deepEqual(parseReceipt(late.receipt).content.quarantined[0]?.conflicts, [
    { conflict: 'key-known', with: 'berlin-1 KS-0002' },
  ]);
  const told = hq.entries().filter(({ type }) => type === 'unit.quarantined' || type === 'unit.contradicted');
  assert.deepEqual(
    told.map(({ type, subject }) => `${type} ${subject.device}`),
    ['unit.quarantined KS-0003', 'unit.contradicted KS-0002'],
  );
  const made = [...lyon.made.values()].at(-1);
  assert.ok(made);
  await assert.rejects(hq.keyd.enrol('KS-0003', made.certificate), code('requester.quarantined'));
  const { quarantined } = await hq.keyd.client.reconciliation();
  assert.deepEqual(
    quarantined.map(({ deviceId }) => deviceId),
    ['KS-0003'],
  );

  const now = hq.keyd.clock.now().getTime();
  const at = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const draft = {
    act: 'release' as const,
    id: 'r-1',
    factory: 'lyon-2',
    reason: 'seen on the bench',
    deviceId: 'KS-0003',
    serial: made.serial,
    signedAt: at(now),
    expiresAt: at(now + 3_600_000),
  };
  const forged = await signResolution(draft, 'ada', makeKey().signer);
  await assert.rejects(hq.provisioning.resolveConflict(forged, 'x'), code('resolution.signature-invalid'));
  const outsider = await signResolution(draft, 'lin', hq.keyd.people.lin.signer);
  await assert.rejects(hq.provisioning.resolveConflict(outsider, 'x'), code('resolution.signer-forbidden'));
  const resolution = await signResolution(draft, 'ada', hq.keyd.people.ada.signer);
  const done = await hq.provisioning.resolveConflict(resolution, 'resolve-1');
  assert.deepEqual(done.ended, [{ where: 'berlin-1', deviceId: 'KS-0002' }]);
  assert.equal((await hq.provisioning.resolveConflict(resolution, 'resolve-2')).repeated, true);
  assert.ok((await hq.keyd.enrol('KS-0003', made.certificate)).certificate);
  const other = [...berlin.made.values()].at(-1);
  assert.ok(other);
  await assert.rejects(hq.keyd.enrol('KS-0002', other.certificate), code('requester.quarantined'));
  assert.equal(hq.store.read((records) => records.device('KS-0003'))?.idevidSerial, made.serial);
});
