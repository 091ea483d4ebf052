import type { Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { CampaignState, RotationCampaignTable } from './rotation-schema.ts';
import type { CertificateState } from './schema.ts';

/** A rotation campaign; see rotation-schema.ts. Hashes are hex. */
export interface CampaignRow {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly state: CampaignState;
  readonly was: CampaignState | null;
  readonly pauseReason: string | null;
  readonly plan: string;
  readonly planSha256: string;
  readonly ringsOpen: number;
  readonly statements: string | null;
  readonly actor: string;
  readonly requestId: string;
  readonly plannedAt: number;
  readonly startedAt: number | null;
  readonly switchedAt: number | null;
  readonly retiringAt: number | null;
  readonly endedAt: number | null;
  readonly changedAt: number;
}

export interface CampaignDeviceRow {
  readonly campaign: string;
  readonly deviceId: string;
  readonly ring: number;
  readonly insisted: number;
  readonly doneAt: number | null;
  readonly failure: string | null;
  readonly failedAt: number | null;
  readonly lostAt: number | null;
}

export interface CampaignRingRow {
  readonly campaign: string;
  readonly ring: number;
  readonly openedAt: number;
  readonly windowEnd: number;
}

/** How far a ring is. */
export interface RingCount {
  readonly ring: number;
  readonly devices: number;
  readonly done: number;
  readonly failed: number;
  /** Devices of which nothing is expected any more; they are not among the others. */
  readonly lost: number;
}

/** A certificate of a device as a campaign judges it. */
export interface DeviceCredentialRow {
  readonly profile: string;
  readonly issuer: IssuerName;
  readonly serial: Serial;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuedAt: number;
  readonly status: CertificateState;
}

export const campaignSelection = ({ hex }: Dialect) =>
  [
    'id',
    'kind',
    'target',
    'state',
    'was',
    'pause_reason as pauseReason',
    'plan',
    hex<string>('plan_sha256').as('planSha256'),
    'rings_open as ringsOpen',
    'statements',
    'actor',
    'request_id as requestId',
    'planned_at as plannedAt',
    'started_at as startedAt',
    'switched_at as switchedAt',
    'retiring_at as retiringAt',
    'ended_at as endedAt',
    'changed_at as changedAt',
  ] as const;

export const CAMPAIGN_DEVICE = [
  'campaign',
  'device_id as deviceId',
  'ring',
  'insisted',
  'done_at as doneAt',
  'failure',
  'failed_at as failedAt',
  'lost_at as lostAt',
] as const;

export const campaignColumns = (row: CampaignRow): Insertable<RotationCampaignTable> => ({
  id: row.id,
  kind: row.kind,
  target: row.target,
  state: row.state,
  was: row.was,
  pause_reason: row.pauseReason,
  plan: row.plan,
  plan_sha256: bytesOf(row.planSha256),
  rings_open: row.ringsOpen,
  statements: row.statements,
  actor: row.actor,
  request_id: row.requestId,
  planned_at: row.plannedAt,
  started_at: row.startedAt,
  switched_at: row.switchedAt,
  retiring_at: row.retiringAt,
  ended_at: row.endedAt,
  changed_at: row.changedAt,
});
