import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { toHex } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { generateSoftwareKey, type Signer, sha256, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  demoPolicy,
  type FirmwareOrder,
  type Policy,
  type Role,
  requireFirmwareQuorum,
  signFirmwareStatement,
  verifyFirmwareStatements,
} from '@keystead/core/lifecycle';
import { RefusalLog } from '../../access/index.ts';
import { type AuditEntry, appendAudit, parseEntry } from '../../audit/index.ts';
import type { SigningSettings } from '../../files/signing-settings.ts';
import { openStore, type Store } from '../../store/index.ts';
import type { AskedBy, FirmwareSigner } from '../deps.ts';
import { type RequestView, Signing, type Submission } from '../index.ts';
import { TEST_FORMAT } from './test-format.ts';

const PEOPLE = {
  rita: ['release-engineer'],
  rolf: ['release-engineer'],
  anna: ['approver'],
  axel: ['approver'],
  aud: ['auditor'],
} as const satisfies Record<string, readonly Role[]>;
export type Person = keyof typeof PEOPLE;

/**
 * What stands for keyd: it verifies the statements as keyd does, and gives the signature of an order once. It has no TSA:
 * time stamps are tested with keyd itself (tests/interop/firmware-timestamps.test.ts).
 */
export class StandIn implements FirmwareSigner {
  readonly #policy: () => Policy;
  readonly #clock: SimulatedClock;
  readonly #signer: Signer = signerOf();
  readonly #journal = new Map<string, Uint8Array>();
  /** How many signatures it made. */
  signed = 0;
  away = false;
  /** How many are at it at once, and the most that were. */
  now = 0;
  most = 0;
  /** Called before it answers. */
  between: () => void = () => {};

  constructor(policy: () => Policy, clock: SimulatedClock) {
    this.#policy = policy;
    this.#clock = clock;
  }

  signFirmware: FirmwareSigner['signFirmware'] = async ({ statements, subject }) => {
    this.now += 1;
    this.most = Math.max(this.most, this.now);
    await turn();
    this.now -= 1;
    if (this.away) throw new KeysteadError('keyd.unreachable', { field: 'keyd' });
    const agreed = verifyFirmwareStatements(statements, this.#policy(), this.#clock.now());
    requireFirmwareQuorum(agreed);
    if (toHex(sha256(subject)) !== agreed.order.subjectSha256) throw new KeysteadError('signing.image-changed');
    const known = this.#journal.get(agreed.order.id);
    if (known === undefined) this.signed += 1;
    const signature = known ?? (await this.#signer.sign(subject));
    this.#journal.set(agreed.order.id, signature);
    this.between();
    const signer = new Uint8Array() as never;
    return { signatures: [{ key: 'fw-1', signer, chain: [], time: this.#clock.now(), signature }] };
  };
}

function signerOf(): Signer {
  const { pkcs8 } = generateSoftwareKey('P-256');
  return softwareSigner('P-256', pkcs8);
}

/** The room over a real database, with people who sign, and a clock that the test sets. */
export class SigningBed {
  readonly folder = mkdtempSync(join(tmpdir(), 'keystead-signing-'));
  readonly clock = new SimulatedClock(new Date('2026-11-28T12:00:00Z'));
  readonly keyd: StandIn;
  readonly #signers: Readonly<Record<string, Signer>>;
  policy: Policy;
  settings: SigningSettings | undefined;
  #store: Store | undefined;
  #signing: Signing | undefined;

  constructor() {
    const people = Object.entries(PEOPLE).map(([name, roles]) => {
      const { pkcs8, spki } = generateSoftwareKey('P-256');
      return { name, roles, spki, signer: softwareSigner('P-256', pkcs8) };
    });
    this.#signers = Object.fromEntries(people.map(({ name, signer }) => [name, signer]));
    const line = (key: string, approvals: number) => ({
      keys: [key],
      formats: ['sshsig' as const],
      approvals,
      roles: ['approver' as const],
      rollback: { approvals: approvals + 1, roles: ['approver' as const, 'policy-administrator' as const] },
    });
    const key = (id: string, environment: 'production' | 'development') => ({
      ...{ id, environment, algorithm: 'P-256' as const, product: 'pump', formats: ['sshsig' as const] },
    });
    const environments = { production: line('fw-1', 2), development: line('fw-dev', 1) };
    this.policy = demoPolicy({
      operators: people,
      issued: this.clock.now(),
      firmware: {
        products: [{ product: 'pump', environments }],
        keys: [key('fw-1', 'production'), key('fw-dev', 'development')],
      },
    });
    this.keyd = new StandIn(() => this.policy, this.clock);
  }

  async start(): Promise<void> {
    const store = openStore({ path: join(this.folder, 'records.db'), clock: this.clock });
    this.#store = store;
    const audit = (tx: Parameters<typeof appendAudit>[0], event: Parameters<typeof appendAudit>[1]) =>
      appendAudit(tx, event, this.clock);
    const bed = this;
    this.#signing = new Signing({
      ...{ store, keyd: this.keyd, clock: this.clock, audit, log: { error: () => {} } },
      refusals: new RefusalLog({ store, audit, clock: this.clock }),
      get policy() {
        return bed.policy;
      },
      formatOf: () => TEST_FORMAT,
      settings: this.settings,
      directory: join(this.folder, 'signing'),
    });
    await this.#signing.start();
  }

  get signing(): Signing {
    if (this.#signing === undefined) throw new Error('the bed is not started');
    return this.#signing;
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the bed is not started');
    return this.#store;
  }

  /** Ends the records, as after a kill: nothing of the room is asked to finish. */
  async stop(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  async remove(): Promise<void> {
    await this.#signing?.settled();
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  by(name: Person): AskedBy {
    return { actor: { kind: 'operator', id: name }, requestId: 'r-1' };
  }

  async keep(bytes: Uint8Array): Promise<string> {
    return (await this.signing.files.take([bytes], { most: 1 << 20 })).sha256;
  }

  /** A request for an image, as a draft. */
  async submit(image: Uint8Array, more: Partial<Submission> = {}): Promise<RequestView> {
    return this.signing.submit(
      {
        ...{ id: 'order-1', product: 'pump', environment: 'production', target: 'mcu', version: '1.2.0' },
        ...{ format: 'sshsig', image: { sha256: await this.keep(image) }, documents: {} },
        ...{ reason: 'release of autumn', rollback: false },
        ...more,
      },
      this.by('rita'),
    );
  }

  /** What one person signs. */
  statement(order: FirmwareOrder, name: Person, more: { proposer?: Person; seconds?: number } = {}): Promise<string> {
    const { proposer = 'rita', seconds = 3600 } = more;
    const signer = this.#signers[name];
    if (signer === undefined) throw new Error(`no key of ${name}`);
    const at = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
    const now = this.clock.now().getTime();
    const [role] = PEOPLE[name];
    const act = name === proposer ? 'propose' : 'approve';
    const draft = { act, order, proposer, role, signedAt: at(now), expiresAt: at(now + seconds * 1000) } as const;
    return signFirmwareStatement(draft, name, signer);
  }

  async add(view: RequestView, name: Person, more: Parameters<SigningBed['statement']>[2] = {}): Promise<RequestView> {
    return this.signing.add(view.id, await this.statement(view.order, name, more), this.by(name));
  }

  /** A request that a quorum has signed, carried out. */
  async signed(image: Uint8Array, more: Partial<Submission> = {}): Promise<RequestView> {
    const view = await this.submit(image, more);
    for (const name of ['rita', 'anna', 'axel'] as const) await this.add(view, name);
    await this.signing.settled();
    return this.signing.show(view.id);
  }

  entries(): AuditEntry[] {
    return this.store.read((records) => records.auditEntries(0, 1000)).map(({ bytes }) => parseEntry(bytes));
  }

  /** Types of the entries, with the code of a refusal. */
  told(): string[] {
    return this.entries().map(({ type, detail }) => (type === 'request.refused' ? String(detail?.code) : type));
  }
}
