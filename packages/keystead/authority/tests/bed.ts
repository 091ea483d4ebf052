import { join } from 'node:path';
import type { DerCertificate } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { DemoPolicyOptions, IssuerId, OnlineCa, Policy } from '@keystead/core/lifecycle';
import { Access, type AppendAudit, type DeviceClient, type OperatorClient, RefusalLog } from '../../access/index.ts';
import { type AuditEntry, appendAudit, parseEntry } from '../../audit/index.ts';
import { csrFor, KeydBed, makeKey, type TestKey } from '../../keyd/tests/bed.ts';
import type { KeydClient } from '../../keyd-client/index.ts';
import { Provisioning } from '../../provisioning/index.ts';
import { openStore, type Store, type StoreOptions } from '../../store/index.ts';
import { Authority, type Issued, KeyClaims } from '../index.ts';

export { csrFor, makeKey, type TestKey };

type Keyd = Pick<
  KeydClient,
  | 'issue'
  | 'signCrl'
  | 'releaseHold'
  | 'listRevocations'
  | 'crlFile'
  | 'journal'
  | 'status'
  | 'trust'
  | 'provision'
  | 'signEvidence'
>;

/** What a test may put between the rooms: to look, to wait, or to fail at a chosen point. */
export interface Interposed {
  keyd?: (client: KeydClient) => Keyd;
  store?: (store: Store) => Store;
  storeOptions?: Partial<StoreOptions>;
  graceSeconds?: number;
}

/** A device as it stands before the server: its key, and the client that its certificate makes it. */
export interface TestDevice {
  readonly id: string;
  readonly key: TestKey;
  readonly idevid: DerCertificate;
  readonly client: DeviceClient;
}

/**
 * The rooms of the domain over the real keyd (after a real ceremony) and a real database, in one process, with a
 * clock that the test sets. `crash` ends them as a kill does; `start` brings them back from what is on disk.
 */
export class DomainBed {
  readonly keyd: KeydBed;
  /** As serve derives it from the channel key: the same after a restart. */
  readonly #sealing = SecretBytes.random(32);
  #store: Store | undefined;
  #authority: Authority | undefined;
  #access: Access | undefined;
  #provisioning: Provisioning | undefined;
  #refusals: RefusalLog | undefined;
  #cas: Record<OnlineCa, DerCertificate> | undefined;

  private constructor(keyd: KeydBed) {
    this.keyd = keyd;
  }

  /** @param others operators of the policy besides those of the bed. */
  static async make(
    interposed: Interposed = {},
    policy: Partial<DemoPolicyOptions> = {},
    others: Parameters<typeof KeydBed.make>[2] = [],
  ): Promise<DomainBed> {
    const bed = new DomainBed(await KeydBed.make(policy, undefined, others));
    try {
      await bed.start(interposed);
    } catch (error) {
      await bed.remove();
      throw error;
    }
    return bed;
  }

  async start(interposed: Interposed = {}): Promise<void> {
    const { clock, policy } = this.keyd;
    const { layout } = this.keyd.rehearsal;
    const client = this.keyd.client;
    const serverKey = client.issueServerKey.bind(client);
    const orderRevocation = client.orderRevocation.bind(client);
    const opened = openStore({ path: layout.database, clock, ...interposed.storeOptions });
    this.#store = opened;
    const store = interposed.store?.(opened) ?? opened;
    const keyd = Object.assign(interposed.keyd?.(client) ?? client, {
      issueServerKey: (params: Parameters<KeydClient['issueServerKey']>[0]) => serverKey(params),
      orderRevocation,
    });
    const audit: AppendAudit = (tx, event) => appendAudit(tx, event, clock);
    const refusals = new RefusalLog({ store, audit, clock });
    this.#refusals = refusals;
    const { certificates, issuers } = await client.trust();
    const cas = {
      manufacturing: certificates.manufacturing,
      operational: certificates.operational,
      server: certificates.server,
      operator: certificates.operator,
    } as Record<OnlineCa, DerCertificate>;
    this.#cas = cas;
    const shared = { store, keyd, clock, audit, refusals, policy, issuers, claims: new KeyClaims() };
    // As serve does: keys of CAs that have a successor still prove devices, and what the root has revoked proves nobody.
    const believed = issuers.filter(({ revoked }) => !revoked).map(({ id, certificate }) => [id, certificate]);
    const isRevoked = (issuer: IssuerId): boolean => issuers.some(({ id, revoked }) => id === issuer && revoked);
    this.#access = new Access({ store, clock, policy, refusals, cas: Object.fromEntries(believed), isRevoked });
    this.#authority = new Authority({
      ...shared,
      crlDirectory: layout.crl,
      sealingKey: this.#sealing,
      graceSeconds: interposed.graceSeconds,
    });
    this.#provisioning = new Provisioning({
      ...shared,
      keyd: {
        provision: (unit) => keyd.provision(unit),
        signEvidence: (end) => keyd.signEvidence(end),
        challengeAttestation: (unit) => client.challengeAttestation(unit),
        signConsignment: (wanted) => client.signConsignment(wanted),
        sealParcel: (parcel) => client.sealParcel(parcel),
        takeConsignment: (parcel) => client.takeConsignment(parcel),
        resolve: (order) => client.resolve(order),
        challengeElement: (unit) => client.challengeElement(unit),
        makeUnitKey: (unit) => client.makeUnitKey(unit),
        deriveUnitKey: (asked) => client.deriveUnitKey(asked),
      },
      authority: this.#authority,
      recordsDirectory: layout.records,
      evidenceDirectory: layout.evidence,
    });
    await this.#authority.start();
    await this.#provisioning.start();
  }

  /** Ends the rooms without a word; what they were doing is lost. */
  async crash(): Promise<void> {
    await this.#store?.close();
  }

  async restart(interposed: Interposed = {}): Promise<void> {
    await this.crash();
    await this.start(interposed);
  }

  async remove(): Promise<void> {
    await this.crash();
    await this.keyd.remove();
  }

  get clock(): KeydBed['clock'] {
    return this.keyd.clock;
  }
  get policy(): Policy {
    return this.keyd.policy;
  }
  get store(): Store {
    return present(this.#store);
  }
  get authority(): Authority {
    return present(this.#authority);
  }
  get access(): Access {
    return present(this.#access);
  }
  get provisioning(): Provisioning {
    return present(this.#provisioning);
  }
  get refusals(): RefusalLog {
    return present(this.#refusals);
  }
  get cas(): Record<OnlineCa, DerCertificate> {
    return present(this.#cas);
  }
  crlPath(role: OnlineCa): string {
    return join(this.keyd.rehearsal.layout.crl, `${role}.crl`);
  }

  /** The audit log so far, oldest first. */
  entries(type?: string): AuditEntry[] {
    const rows = this.store.read((records) => records.auditEntries(0, 1_000_000));
    return rows.map(({ bytes }) => parseEntry(bytes)).filter((entry) => type === undefined || entry.type === type);
  }

  /** What the records hold, in numbers: for tests that nothing changed. */
  counts(): { certificates: number; entries: number } {
    return this.store.read((records) => ({ certificates: records.countCertificates(), entries: records.auditSize() }));
  }

  /** Provisions a device with a batch ticket that is opened when it is first used. */
  async device(id: string, key: TestKey = makeKey()): Promise<TestDevice> {
    await this.openBatch();
    const csr = await csrFor(id, key);
    const unit = await this.provisioning.provisionUnit({
      ticketId: 'batch-1',
      deviceId: id,
      csr,
      station: 'station-1',
      operator: 'lin',
      line: 'line-1',
      requestId: `provision-${id}`,
    });
    return { id, key, idevid: unit.certificate, client: await this.client(unit.certificate) };
  }

  async openBatch(): Promise<void> {
    if (this.store.read((records) => records.ticket('batch-1')) !== undefined) return;
    const ticket = await this.keyd.ticket({ quota: 60 });
    await this.provisioning.openBatch({ ticket, actor: { kind: 'operator', id: 'lin' }, requestId: 'open-1' });
  }

  /** The device that shows this certificate. */
  async client(certificate: DerCertificate): Promise<DeviceClient> {
    const client = await this.access.identify(certificate, { requestId: 'identify', what: 'test' });
    if (client.kind !== 'device') throw new TypeError('not a device');
    return client;
  }

  /** The operator whose key stands in the policy, with a certificate for it. */
  async operator(name: 'ada' | 'lin' | 'aud'): Promise<OperatorClient> {
    const csr = await csrFor(name, this.keyd.people[name]);
    const issued = await this.authority.operatorCertificate({ name, csr, requestId: `operator-${name}` });
    const client = await this.access.identify(issued.certificate, { requestId: 'identify', what: 'test' });
    if (client.kind !== 'operator') throw new TypeError('not an operator');
    return client;
  }

  async enrol(device: TestDevice, key: TestKey = makeKey()): Promise<Issued> {
    const csr = await csrFor(device.id, key);
    return this.authority.enrol({ client: device.client, csr, requestId: `enrol-${device.id}` });
  }
}

/** The code of the KeysteadError that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof KeysteadError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('the bed is not started');
  return value;
}
