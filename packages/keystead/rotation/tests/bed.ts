import { type RotationOrder, signRotationOrder } from '@keystead/core/lifecycle';
import { appendAudit } from '../../audit/index.ts';
import { DomainBed, type TestDevice } from '../../authority/tests/bed.ts';
import { Campaigns, type DryRunView, type PublishedBundles, type RotationDeps } from '../index.ts';

/** Campaigns over the real keyd, after real ceremonies, and a real database, in one process with a clock of the test's. */
export class RotationBed {
  readonly domain: DomainBed;
  campaigns: Campaigns;
  /** What devices say of themselves; the front end takes it from their reports. */
  readonly uptake = new Map<string, NonNullable<ReturnType<RotationDeps['uptakeOf']>>>();
  /** What keyd would say of its keys for firmware: this one has none. */
  firmwareKeys: Awaited<ReturnType<RotationDeps['firmwareKeys']>> = [];
  bundles: PublishedBundles = { latest: () => undefined, version: () => undefined };
  #issuers: ReturnType<RotationDeps['issuers']> = [];

  private constructor(domain: DomainBed) {
    this.domain = domain;
    this.campaigns = this.#made();
  }

  static async make(): Promise<RotationBed> {
    const bed = new RotationBed(await DomainBed.make());
    await bed.hear();
    return bed;
  }

  #made(): Campaigns {
    const { store, clock, refusals, policy } = this.domain;
    return new Campaigns({
      ...{ store, clock, refusals, policy },
      audit: (tx, event) => appendAudit(tx, event, clock),
      issuers: () => this.#issuers,
      rollovers: () => [],
      bundles: { latest: () => this.bundles.latest(), version: (version) => this.bundles.version(version) },
      firmwareKeys: async () => this.firmwareKeys,
      uptakeOf: (_records, deviceId) => this.uptake.get(deviceId),
    });
  }

  /** What keyd says of its CAs now. */
  async hear(): Promise<void> {
    this.#issuers = (await this.domain.keyd.client.trust()).issuers;
  }

  /** The front end after a crash, or after keyd took over a ceremony. */
  async restart(): Promise<void> {
    await this.domain.restart();
    await this.hear();
    this.campaigns = this.#made();
  }

  /** Devices that have an LDevID. */
  async devices(...ids: string[]): Promise<TestDevice[]> {
    const made: TestDevice[] = [];
    for (const id of ids) {
      const device = await this.domain.device(id);
      await this.domain.enrol(device);
      made.push(device);
    }
    return made;
  }

  by(name = 'ada') {
    return { actor: { kind: 'operator' as const, id: name }, requestId: `rotation-${name}` };
  }

  /** A statement about the devices of a dry run. */
  statement(run: DryRunView, name: 'ada' | 'pol', more: Partial<RotationOrder> = {}): Promise<string> {
    const now = this.domain.clock.now().getTime();
    const whole = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`;
    const { campaign, planSha256, devicesSha256 } = run;
    const order = {
      campaign,
      planSha256,
      devicesSha256,
      devices: run.counts['cut-off'],
      reason: 'they are scrap',
      ...more,
    };
    return signRotationOrder(
      {
        ...{ act: name === 'ada' ? 'propose' : 'approve', order, proposer: 'ada' },
        role: name === 'ada' ? 'ca-operator' : 'policy-administrator',
        ...{ signedAt: whole(now), expiresAt: whole(now + 3_600_000) },
      },
      name,
      this.domain.keyd.people[name].signer,
    );
  }

  /** What the log says of campaigns, in order. */
  told(): string[] {
    return this.domain.entries().flatMap(({ type }) => (type.startsWith('rotation.') ? [type.slice(9)] : []));
  }
}
