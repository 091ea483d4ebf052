import { toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { FirmwareClaims, FirmwareFormat } from '@keystead/core/firmware';
import {
  DEMO_FIRMWARE,
  type DemoPolicyOptions,
  type FirmwareOrder,
  type FirmwareStatement,
  type Role,
  signFirmwareStatement,
} from '@keystead/core/lifecycle';
import { FORMATS } from '../../../core/firmware/formats.ts';
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

  async sign(parts: OrderParts = {}, by: readonly FirmwarePerson[] = ['amy']) {
    const { order: _order, ...asked } = await this.approved(parts, by);
    return this.keyd.client.signFirmware(asked);
  }
}
