import { toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { FirmwareClaims, FirmwareFormat } from '@keystead/core/firmware';
import {
  DEMO_FIRMWARE,
  type DemoPolicyOptions,
  type FirmwareKeyChange,
  type FirmwareKeyOrder,
  type FirmwareOrder,
  type FirmwareStatement,
  formatStatements,
  type Policy,
  policyFile,
  type Role,
  signFirmwareKeyStatement,
  signFirmwareStatement,
  signStatement,
} from '@keystead/core/lifecycle';
import { FORMATS } from '../../../core/firmware/formats.ts';
import { successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { KeydBed, makeKey, type TestKey } from './bed.ts';

export const FIRMWARE_ROLES = {
  rel: 'release-engineer',
  amy: 'approver',
  ben: 'approver',
  pia: 'policy-administrator',
} as const satisfies Record<string, Role>;
export type FirmwarePerson = keyof typeof FIRMWARE_ROLES;

/** A format of the tests' own, under the name of one that cannot be had: its subject is its claims as JSON. */
const format: FirmwareFormat = {
  name: 'suit',
  title: 'a format of tests',
  read: async () => {
    throw new Error('not here');
  },
  claims(subject): FirmwareClaims {
    try {
      const { product = null, version = null, securityCounter = null } = JSON.parse(Buffer.from(subject).toString());
      return { product, version, securityCounter };
    } catch {
      throw new KeysteadError('firmware.malformed', { field: 'subject', seen: 'something that is not JSON' });
    }
  },
  compose: (subject, { time }) => Buffer.concat([Buffer.from(`suit ${time.toISOString()} `), subject]),
  assemble: async function* () {},
};

/** Lets keyd in this process sign the tests' format, until `undo`. */
export function registerTestFormat(): () => void {
  const before = FORMATS.get('suit');
  FORMATS.set('suit', format);
  return () => void (before === undefined ? FORMATS.delete('suit') : FORMATS.set('suit', before));
}

export const subjectOf = (claims: object): Uint8Array => Buffer.from(JSON.stringify(claims));
const second = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** What an order of the tests is made of; the rest follows. */
export type OrderParts = Partial<FirmwareOrder> & { readonly subject?: Uint8Array };

/** A keyd with keys for firmware, and the people who order its signatures: `rel` asks, `amy` and `ben` approve. */
export class FirmwareBed {
  readonly keyd: KeydBed;
  readonly people: Readonly<Record<FirmwarePerson, TestKey>>;

  private constructor(keyd: KeydBed, people: FirmwareBed['people']) {
    this.keyd = keyd;
    this.people = people;
  }

  /** @param prepare as `KeydBed.make` takes it. */
  static async make(
    options: Partial<DemoPolicyOptions> = {},
    prepare?: Parameters<typeof KeydBed.make>[1],
  ): Promise<FirmwareBed> {
    const people = { rel: makeKey(), amy: makeKey(), ben: makeKey(), pia: makeKey() };
    const others = (Object.keys(people) as FirmwarePerson[]).map((name) => ({
      name,
      roles: [FIRMWARE_ROLES[name]],
      spki: people[name].spki,
    }));
    return new FirmwareBed(await KeydBed.make({ firmware: DEMO_FIRMWARE, ...options }, prepare, others), people);
  }

  /** An order and its subject: version 1.0.0 of KS-PUMP-1 for production. */
  order({ subject, ...more }: OrderParts = {}): { order: FirmwareOrder; subject: Uint8Array } {
    const version = more.version ?? '1.0.0';
    const securityCounter = more.securityCounter === undefined ? 1 : more.securityCounter;
    const bytes = subject ?? subjectOf({ product: more.product ?? 'KS-PUMP-1', version, securityCounter });
    const order: FirmwareOrder = {
      id: toHex(randomBytes(8)),
      product: 'KS-PUMP-1',
      environment: 'production',
      target: 'main',
      version,
      securityCounter,
      format: 'suit',
      keys: [more.environment === 'development' ? 'pump-1-dev' : 'pump-1'],
      image: { sha256: toHex(sha256(bytes)), bytes: bytes.length },
      subjectSha256: toHex(sha256(bytes)),
      documents: [],
      reason: 'a test',
      rollback: false,
      ...more,
    };
    return { order, subject: bytes };
  }

  statement(
    by: FirmwarePerson,
    order: FirmwareOrder,
    more: Partial<FirmwareStatement> & { age?: number; key?: FirmwarePerson } = {},
  ): Promise<string> {
    const { age = 0, key = by, ...statement } = more;
    const at = this.keyd.clock.now().getTime() - age * 1000;
    return signFirmwareStatement(
      {
        act: by === 'rel' ? 'propose' : 'approve',
        order,
        proposer: 'rel',
        role: FIRMWARE_ROLES[by],
        signedAt: second(at),
        expiresAt: second(at + 3_600_000),
        ...statement,
      },
      by,
      this.people[key].signer,
    );
  }

  /** All that keyd is given for an order that is approved. */
  async approved(
    parts: OrderParts = {},
    by: readonly FirmwarePerson[] = ['amy'],
  ): Promise<{ statements: string[]; subject: Uint8Array; requestId: string; order: FirmwareOrder }> {
    const { order, subject } = this.order(parts);
    const statements = await Promise.all((['rel', ...by] as const).map((one) => this.statement(one, order)));
    return { statements, subject, requestId: `request-${order.id}`, order };
  }

  /** What several people say of a firmware key: `ada` asks, the others approve. */
  async keyStatements(
    id: string,
    change: FirmwareKeyChange,
    by: readonly FirmwarePerson[],
    more: {
      readonly after?: number;
      readonly spkiSha256?: string;
      readonly name?: string;
      /** What they found that the key was used for; null to say nothing. */
      readonly used?: (FirmwareKeyOrder & { change: 'resume' })['used'] | null;
    } = {},
  ): Promise<string[]> {
    const { keys } = await this.keyd.client.firmwareKeys();
    const key = keys.find((one) => one.id === id);
    if (key === undefined) throw new Error(`no key ${id}`);
    const { after = key.ordered, spkiSha256 = key.spkiSha256, name = id } = more;
    const facts = { id: toHex(randomBytes(8)), key: name, spkiSha256, reason: 'found on a laptop' };
    const { used = { orders: key.orders, signature: key.signature ?? null } } = more;
    const order: FirmwareKeyOrder =
      change === 'kill' ? { ...facts, change } : { ...facts, change, after, ...(used === null ? {} : { used }) };
    const at = this.keyd.clock.now().getTime();
    const said = { order, proposer: 'ada', signedAt: second(at), expiresAt: second(at + 3_600_000) };
    const propose = { act: 'propose', role: 'ca-operator', ...said } as const;
    const approve = (who: FirmwarePerson) => ({ act: 'approve', role: FIRMWARE_ROLES[who], ...said }) as const;
    return Promise.all([
      signFirmwareKeyStatement(propose, 'ada', this.keyd.people.ada.signer),
      ...by.map((who) => signFirmwareKeyStatement(approve(who), who, this.people[who].signer)),
    ]);
  }

  async kill(id: string, by: readonly FirmwarePerson[]) {
    const statements = await this.keyStatements(id, 'kill', by);
    return this.keyd.client.orderFirmwareKey({ statements, requestId: `kill-${id}` });
  }

  /** Puts a change of the policy in force: pol proposes, pia approves. */
  async change(edit: (policy: Policy) => void): Promise<void> {
    const before = policyFile((await this.keyd.client.trust()).policy);
    const next = successor(before, edit);
    const at = this.keyd.clock.now().getTime();
    const sign = (act: 'propose' | 'approve', name: string, signer: TestKey['signer']) =>
      signStatement(
        {
          act,
          previousSha256: before.sha256,
          policySha256: next.sha256,
          version: next.policy.version,
          proposer: 'pol',
          role: 'policy-administrator',
          signedAt: second(at),
          expiresAt: second(at + 3_600_000),
          signer: name,
        },
        signer,
      );
    const approvals = formatStatements([
      await sign('propose', 'pol', this.keyd.people.pol.signer),
      await sign('approve', 'pia', this.people.pia.signer),
    ]);
    await this.keyd.client.changePolicy({ policy: next.bytes, approvals, requestId: `policy-${next.policy.version}` });
  }

  /** The policy in force, as its file. */
  async policy(): Promise<Uint8Array> {
    return (await this.keyd.client.trust()).policy;
  }

  async sign(parts: OrderParts = {}, by: readonly FirmwarePerson[] = ['amy']) {
    const { order: _order, ...asked } = await this.approved(parts, by);
    return this.keyd.client.signFirmware(asked);
  }
}
