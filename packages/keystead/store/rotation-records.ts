import type { IssuerName } from '@keystead/core/lifecycle';
import type { Queries } from './queries.ts';
import type { CampaignStep } from './rotation-queries.ts';
import type {
  CampaignDeviceRow,
  CampaignRingRow,
  CampaignRow,
  DeviceCredentialRow,
  RingCount,
} from './rotation-rows.ts';
import type { CampaignState } from './rotation-schema.ts';
import type { Prepared } from './statement.ts';

/** A campaign as a device meets it. */
export interface DeviceCampaign {
  readonly campaign: string;
  readonly kind: string;
  readonly target: string;
  readonly plan: string;
  readonly startedAt: number | null;
  readonly openedAt: number;
  readonly windowEnd: number;
}

/** What can be asked of the records of rotation campaigns. */
export class RotationReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  campaign(id: string): CampaignRow | undefined {
    return this.statements.campaign.first({ id });
  }

  /** Up to `count`, the newest first. */
  campaigns(count: number): CampaignRow[] {
    return this.statements.campaigns.all({ count });
  }

  /** Those that have not ended, the oldest first. */
  open(): CampaignRow[] {
    return this.statements.campaignsOpen.all({});
  }

  device(campaign: string, deviceId: string): CampaignDeviceRow | undefined {
    return this.statements.campaignDevice.first({ campaign, deviceId });
  }

  /** Up to `count` devices of a campaign behind the id `after`; `''` begins. */
  devices(campaign: string, after: string, count: number): CampaignDeviceRow[] {
    return this.statements.campaignDevices.all({ campaign, after, count });
  }

  /** The same of those in the first `rings` rings whose uptake has not been seen. */
  waiting(campaign: string, rings: number, after: string, count: number): CampaignDeviceRow[] {
    return this.statements.campaignDevicesWaiting.all({ campaign, rings, after, count });
  }

  /** The campaigns that ask this device to move now. */
  ofDevice(deviceId: string): DeviceCampaign[] {
    return this.statements.campaignsOfDevice.all({ deviceId });
  }

  /** The campaigns of algorithms that have opened the ring of this device. */
  algorithmsOf(deviceId: string): { target: string; plan: string; state: CampaignState; doneAt: number | null }[] {
    return this.statements.algorithmsOfDevice.all({ deviceId });
  }

  rings(campaign: string): CampaignRingRow[] {
    return this.statements.rings.all({ campaign });
  }

  /** How far each ring is; nothing is counted for it. */
  counts(campaign: string): RingCount[] {
    return this.statements.ringCounts.all({ campaign });
  }

  /** Of each profile the newest certificate of a device that is not revoked for good, the newest of all first. */
  credentials(deviceId: string): DeviceCredentialRow[] {
    return this.statements.credentialsOfDevice.all({ deviceId });
  }

  /** How many certificates of an issuer can be used still, or again when a hold ends. */
  living(issuer: IssuerName, now: number): number {
    return this.statements.livingOfIssuer.first({ issuer, now })?.count ?? 0;
  }
}

/** What one device adds to the counts of its ring: of those that a quorum gives up, and of the lost, nothing is expected. */
function countOf(row: CampaignDeviceRow | undefined): Omit<RingCount, 'ring'> {
  if (row === undefined) return { devices: 0, done: 0, failed: 0, lost: 0 };
  const { doneAt, insisted, lostAt, failedAt } = row;
  if (doneAt !== null) return { devices: 1, done: 1, failed: failedAt === null ? 0 : 1, lost: 0 };
  if (insisted === 1 || lostAt !== null) return { devices: 0, done: 0, failed: 0, lost: lostAt === null ? 0 : 1 };
  return { devices: 1, done: 0, failed: failedAt === null ? 0 : 1, lost: 0 };
}

/** What a transaction may change in them. The table of states is the caller's to keep. */
export class RotationWriter extends RotationReader {
  insert(row: CampaignRow): void {
    this.statements.insertCampaign.run(row);
  }

  step(row: CampaignStep): void {
    this.statements.stepCampaign.run(row);
  }

  insertDevice(campaign: string, deviceId: string, ring: number): void {
    this.statements.insertCampaignDevice.run({ campaign, deviceId, ring });
    this.statements.addToCount.run({ campaign, ring, devices: 1, done: 0, failed: 0, lost: 0 });
  }

  done(campaign: string, deviceId: string, doneAt: number): void {
    this.#counted(campaign, deviceId, () => this.statements.setCampaignDeviceDone.run({ campaign, deviceId, doneAt }));
  }

  failed(campaign: string, deviceId: string, failure: string, failedAt: number): void {
    const row = { campaign, deviceId, failure, failedAt };
    this.#counted(campaign, deviceId, () => this.statements.setCampaignDeviceFailed.run(row));
  }

  /** Nothing is expected of it, until its uptake is seen all the same or it is {@link back}. */
  lost(campaign: string, deviceId: string, failure: string, lostAt: number): void {
    const row = { campaign, deviceId, failure, lostAt };
    this.#counted(campaign, deviceId, () => this.statements.setCampaignDeviceLost.run(row));
  }

  /** It is expected to move again: somebody gave it a certificate. */
  back(campaign: string, deviceId: string): void {
    this.#counted(campaign, deviceId, () => this.statements.setCampaignDeviceBack.run({ campaign, deviceId }));
  }

  /** Changes a device, and what its ring counts with it. */
  #counted(campaign: string, deviceId: string, change: () => void): void {
    const before = countOf(this.device(campaign, deviceId));
    change();
    const after = this.device(campaign, deviceId);
    if (after === undefined) return;
    const counts = countOf(after);
    const added = {
      devices: counts.devices - before.devices,
      done: counts.done - before.done,
      failed: counts.failed - before.failed,
      lost: counts.lost - before.lost,
    };
    this.statements.addToCount.run({ campaign, ring: after.ring, ...added });
  }

  /** The failures so far count no more: people have seen them. Their reasons stay. */
  acknowledge(campaign: string): void {
    this.statements.acknowledgeFailures.run({ campaign });
    this.statements.forgetFailedCounts.run({ campaign });
  }

  insisted(campaign: string, deviceId: string): void {
    const row = { campaign, deviceId, insisted: 1 };
    this.#counted(campaign, deviceId, () => this.statements.setCampaignDeviceInsisted.run(row));
  }

  openRing(row: CampaignRingRow): void {
    this.statements.insertRing.run(row);
  }

  /** Moves the windows that end after `after` (ms) by so many milliseconds. */
  moveWindows(campaign: string, after: number, by: number): void {
    this.statements.moveWindows.run({ campaign, after, by });
  }
}
