import type { DerSpki, Serial } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { randomBytes, spkiSha256 } from '@keystead/core/crypto';
import {
  DEMO_TRUST,
  type Policy,
  type Role,
  signTrustStatement,
  type TrustOrder,
  type TrustStatement,
} from '@keystead/core/lifecycle';
import { buildDelta, buildFilter, type FilterSource, jsonOfContent, type StandingJson } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { contentWith, newSigner, pin } from '../../../core/trust/tests/bundle-source.ts';
import { KeydBed, makeKey, type TestKey } from './bed.ts';

export const TRUST_ROLES = {
  ca: 'ca-operator',
  amy: 'approver',
  ben: 'approver',
} as const satisfies Record<string, Role>;
type Person = keyof typeof TRUST_ROLES;

const DAY = 86_400;
const second = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The policy of these tests: two signers, short windows. */
export const TRUST: NonNullable<Policy['trust']> = {
  ...DEMO_TRUST,
  fleet: 'pumps',
  keys: [
    { id: 'first', algorithm: 'P-256' },
    { id: 'second', algorithm: 'Ed25519' },
  ],
};

/** A keyd that signs trust bundles, and the people who order what stands in them: `ca` asks, `amy` and `ben` approve. */
export class TrustBed {
  readonly keyd: KeydBed;
  readonly people: Readonly<Record<Person, TestKey>>;
  readonly spkis: Readonly<Record<'first' | 'second', DerSpki>>;

  readonly #began: number;

  private constructor(keyd: KeydBed, people: TrustBed['people'], spkis: TrustBed['spkis']) {
    this.keyd = keyd;
    this.people = people;
    this.spkis = spkis;
    this.#began = this.now;
  }

  static async make(
    trust: Partial<typeof TRUST> = {},
    more: Parameters<typeof KeydBed.make>[0] = {},
  ): Promise<TrustBed> {
    const people = { ca: makeKey(), amy: makeKey(), ben: makeKey() };
    const others = (Object.keys(people) as Person[]).map((name) => ({
      name,
      roles: [TRUST_ROLES[name]],
      spki: people[name].spki,
    }));
    const keyd = await KeydBed.make(
      { trust: { ...TRUST, ...trust }, lifetimes: { ldevid: { seconds: 30 * DAY, backdateSeconds: 300 } }, ...more },
      undefined,
      others,
    );
    const { keys } = await keyd.client.trustStatus();
    const spkiOf = (id: string): DerSpki => {
      const found = keys.find((key) => key.id === id)?.spki;
      if (found == null) throw new Error(`no key ${id}`);
      return found as DerSpki;
    };
    return new TrustBed(keyd, people, { first: spkiOf('first'), second: spkiOf('second') });
  }

  get now(): number {
    return Math.floor(this.keyd.clock.now().getTime() / 1000);
  }

  /** What stands at first: the root as an anchor, an update server with three pins, the first signer for a year. */
  async content(more: Partial<StandingJson> = {}): Promise<StandingJson> {
    const { certificates } = await this.keyd.client.trust();
    const { root } = certificates;
    if (root === undefined) throw new Error('no root');
    // The same each time: a change is what the test makes one.
    const from = this.#began - DAY;
    const until = this.#began + 365 * DAY;
    const { anchors, pins, signers, firmware } = jsonOfContent(
      contentWith(newSigner(), root, {
        anchors: [{ role: 'server', certificate: root, from, until }],
        pins: [
          {
            role: 'update-server',
            keys: [
              { spkiSha256: pin('now'), use: 'current', from, until },
              { spkiSha256: pin('then'), use: 'next', from, until },
              { spkiSha256: pin('safe'), use: 'backup', from, until },
            ],
          },
        ],
        signers: [{ spki: this.spkis.first, from, until }],
      }),
    );
    return { anchors, pins, signers, firmware, ...more };
  }

  statement(by: Person, order: TrustOrder, more: Partial<TrustStatement> = {}, key: Person = by): Promise<string> {
    const at = this.keyd.clock.now().getTime();
    return signTrustStatement(
      {
        act: by === 'ca' ? 'propose' : 'approve',
        order,
        proposer: 'ca',
        role: TRUST_ROLES[by],
        signedAt: second(at),
        expiresAt: second(at + 3_600_000),
        ...more,
      },
      by,
      this.people[key].signer,
    );
  }

  async order(change: number, content: StandingJson, more: Partial<TrustOrder> = {}): Promise<TrustOrder> {
    return {
      id: toHex(randomBytes(8)),
      fleet: 'pumps',
      change,
      content,
      strand: false,
      reason: 'a test',
      ...more,
    };
  }

  /** The statements of an order that is approved. */
  async approved(order: TrustOrder, by: readonly Person[] = ['amy']): Promise<string[]> {
    return Promise.all((['ca', ...by] as const).map((one) => this.statement(one, order)));
  }

  /** From what an honest front end builds: every certificate in the journal of these two CAs. */
  source(
    certificates: readonly { issuer: string; serial: Serial; revoked: boolean }[],
    more: Partial<FilterSource> = {},
  ): Promise<FilterSource> {
    return this.keyd.client.trust().then(({ issuers }) => ({
      date: this.keyd.clock.now(),
      backdateSeconds: 300 + 120,
      expires: new Date((this.now + 7 * DAY) * 1000),
      issuers: issuers
        .filter(({ ca }) => ca === 'operational' || ca === 'server')
        .map(({ id, certificate }) => {
          const mine = certificates.filter(({ issuer }) => issuer === id);
          const revoked = new Set(mine.filter((one) => one.revoked).map(({ serial }) => serial));
          return {
            issuerSpkiSha256: spkiSha256(readCertificate(certificate).spki),
            serials: mine.map(({ serial }) => serial),
            isRevoked: (serial: Serial) => revoked.has(serial),
          };
        }),
      ...more,
    }));
  }

  async filter(...source: Parameters<TrustBed['source']>): Promise<Uint8Array> {
    return buildFilter(await this.source(...source));
  }

  async delta(chain: readonly Uint8Array[], ...source: Parameters<TrustBed['source']>): Promise<Uint8Array[]> {
    const [base, ...deltas] = chain;
    if (base === undefined) throw new Error('no base');
    return [...chain, buildDelta(await this.source(...source), base, deltas)];
  }
}
