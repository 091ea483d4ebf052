import type { IssuerName } from '@keystead/core/lifecycle';
import { sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import { compileQuery } from './query.ts';
import * as rows from './rotation-rows.ts';

/** What a step changes of a campaign. */
export type CampaignStep = Pick<
  rows.CampaignRow,
  | 'id'
  | 'state'
  | 'was'
  | 'pauseReason'
  | 'ringsOpen'
  | 'statements'
  | 'startedAt'
  | 'switchedAt'
  | 'retiringAt'
  | 'endedAt'
  | 'changedAt'
>;

/** The queries of rotation campaigns. */
export function rotationQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const campaign = rows.campaignSelection(dialect);
  return {
    insertCampaign: query<rows.CampaignRow>()((q, a) =>
      q.insertInto('rotation_campaign').values(rows.campaignColumns(a)),
    ),
    campaign: query<{ id: string }>()((q, a) =>
      q.selectFrom('rotation_campaign').select(campaign).where('id', '=', a.id),
    ),
    campaigns: query<{ count: number }>()((q, a) =>
      q
        .selectFrom('rotation_campaign')
        .select(campaign)
        .orderBy('planned_at', 'desc')
        .orderBy('id', 'desc')
        .limit(a.count),
    ),
    campaignsOpen: query<object>()((q) =>
      q.selectFrom('rotation_campaign').select(campaign).where('ended_at', 'is', null).orderBy('planned_at'),
    ),
    stepCampaign: query<CampaignStep>()((q, a) =>
      q
        .updateTable('rotation_campaign')
        .set({
          state: a.state,
          was: a.was,
          pause_reason: a.pauseReason,
          rings_open: a.ringsOpen,
          statements: a.statements,
          started_at: a.startedAt,
          switched_at: a.switchedAt,
          retiring_at: a.retiringAt,
          ended_at: a.endedAt,
          changed_at: a.changedAt,
        })
        .where('id', '=', a.id),
    ),
    insertCampaignDevice: query<{ campaign: string; deviceId: string; ring: number }>()((q, a) =>
      q.insertInto('rotation_device').values({
        campaign: a.campaign,
        device_id: a.deviceId,
        ring: a.ring,
        insisted: sql<number>`0`,
        done_at: null,
        failure: null,
        failed_at: null,
        lost_at: null,
      }),
    ),
    campaignDevice: query<{ campaign: string; deviceId: string }>()((q, a) =>
      q
        .selectFrom('rotation_device')
        .select(rows.CAMPAIGN_DEVICE)
        .where('campaign', '=', a.campaign)
        .where('device_id', '=', a.deviceId),
    ),
    campaignDevices: query<{ campaign: string; after: string; count: number }>()((q, a) =>
      q
        .selectFrom('rotation_device')
        .select(rows.CAMPAIGN_DEVICE)
        .where('campaign', '=', a.campaign)
        .where('device_id', '>', a.after)
        .orderBy('device_id')
        .limit(a.count),
    ),
    /** Those of the open rings whose uptake has not been seen, also where they failed before. */
    campaignDevicesWaiting: query<{ campaign: string; rings: number; after: string; count: number }>()((q, a) =>
      q
        .selectFrom('rotation_device')
        .select(rows.CAMPAIGN_DEVICE)
        .where('campaign', '=', a.campaign)
        .where('ring', '<=', a.rings)
        .where('done_at', 'is', null)
        .where('device_id', '>', a.after)
        .orderBy('device_id')
        .limit(a.count),
    ),
    /** The open campaigns in whose open rings a device is that has not moved yet, with the ring. */
    campaignsOfDevice: query<{ deviceId: string }>()((q, a) =>
      q
        .selectFrom('rotation_device')
        .innerJoin('rotation_campaign', 'rotation_campaign.id', 'rotation_device.campaign')
        .innerJoin('rotation_ring', (join) =>
          join
            .onRef('rotation_ring.campaign', '=', 'rotation_device.campaign')
            .onRef('rotation_ring.ring', '=', 'rotation_device.ring'),
        )
        .select([
          'rotation_campaign.id as campaign',
          'rotation_campaign.kind as kind',
          'rotation_campaign.target as target',
          'rotation_campaign.plan as plan',
          'rotation_campaign.started_at as startedAt',
          'rotation_ring.opened_at as openedAt',
          'rotation_ring.window_end as windowEnd',
        ])
        .where('rotation_device.device_id', '=', a.deviceId)
        .where('rotation_device.done_at', 'is', null)
        .where('rotation_campaign.state', '=', sql<'switched'>`'switched'`),
    ),
    /** The campaigns of algorithms in whose open rings a device is, also where it has moved. */
    algorithmsOfDevice: query<{ deviceId: string }>()((q, a) =>
      q
        .selectFrom('rotation_device')
        .innerJoin('rotation_campaign', 'rotation_campaign.id', 'rotation_device.campaign')
        .select([
          'rotation_campaign.target as target',
          'rotation_campaign.plan as plan',
          'rotation_campaign.state as state',
          'rotation_device.done_at as doneAt',
        ])
        .where('rotation_device.device_id', '=', a.deviceId)
        .where('rotation_campaign.kind', '=', sql<'algorithm'>`'algorithm'`)
        .where('rotation_campaign.ended_at', 'is', null)
        .whereRef('rotation_device.ring', '<=', 'rotation_campaign.rings_open'),
    ),
    setCampaignDeviceDone: query<{ campaign: string; deviceId: string; doneAt: number }>()((q, a) =>
      q
        .updateTable('rotation_device')
        .set({ done_at: a.doneAt, failure: null, failed_at: null, lost_at: null })
        .where('campaign', '=', a.campaign)
        .where('device_id', '=', a.deviceId),
    ),
    setCampaignDeviceFailed: query<{ campaign: string; deviceId: string; failure: string; failedAt: number }>()(
      (q, a) =>
        q
          .updateTable('rotation_device')
          .set({ failure: a.failure, failed_at: a.failedAt })
          .where('campaign', '=', a.campaign)
          .where('device_id', '=', a.deviceId),
    ),
    acknowledgeFailures: query<{ campaign: string }>()((q, a) =>
      q
        .updateTable('rotation_device')
        .set({ failed_at: null })
        .where('campaign', '=', a.campaign)
        .where('failed_at', 'is not', null),
    ),
    setCampaignDeviceInsisted: query<{ campaign: string; deviceId: string; insisted: number }>()((q, a) =>
      q
        .updateTable('rotation_device')
        .set({ insisted: a.insisted })
        .where('campaign', '=', a.campaign)
        .where('device_id', '=', a.deviceId),
    ),
    insertRing: query<rows.CampaignRingRow>()((q, a) =>
      q.insertInto('rotation_ring').values({
        campaign: a.campaign,
        ring: a.ring,
        opened_at: a.openedAt,
        window_end: a.windowEnd,
      }),
    ),
    /** A pause moves the ends of the windows on. */
    moveWindows: query<{ campaign: string; after: number; by: number }>()((q, a) =>
      q
        .updateTable('rotation_ring')
        .set((eb) => ({ window_end: eb('window_end', '+', a.by) }))
        .where('campaign', '=', a.campaign)
        .where('window_end', '>', a.after),
    ),
    rings: query<{ campaign: string }>()((q, a) =>
      q
        .selectFrom('rotation_ring')
        .select(['campaign', 'ring', 'opened_at as openedAt', 'window_end as windowEnd'])
        .where('campaign', '=', a.campaign)
        .orderBy('ring'),
    ),
    ringCounts: query<{ campaign: string }>()((q, a) =>
      q
        .selectFrom('rotation_count')
        .select(['ring', 'devices', 'done', 'failed', 'lost'])
        .where('campaign', '=', a.campaign)
        .orderBy('ring'),
    ),
    /** What a change of one device changes of its ring. */
    addToCount: query<{ campaign: string } & rows.RingCount>()((q, a) =>
      q
        .insertInto('rotation_count')
        .values({
          campaign: a.campaign,
          ring: a.ring,
          devices: a.devices,
          done: a.done,
          failed: a.failed,
          lost: a.lost,
        })
        .onConflict((conflict) =>
          conflict.columns(['campaign', 'ring']).doUpdateSet((eb) => ({
            devices: eb('rotation_count.devices', '+', eb.ref('excluded.devices')),
            done: eb('rotation_count.done', '+', eb.ref('excluded.done')),
            failed: eb('rotation_count.failed', '+', eb.ref('excluded.failed')),
            lost: eb('rotation_count.lost', '+', eb.ref('excluded.lost')),
          })),
        ),
    ),
    forgetFailedCounts: query<{ campaign: string }>()((q, a) =>
      q.updateTable('rotation_count').set({ failed: sql<number>`0` }).where('campaign', '=', a.campaign),
    ),
    setCampaignDeviceLost: query<{ campaign: string; deviceId: string; failure: string; lostAt: number }>()((q, a) =>
      q
        .updateTable('rotation_device')
        .set({ failure: a.failure, lost_at: a.lostAt })
        .where('campaign', '=', a.campaign)
        .where('device_id', '=', a.deviceId),
    ),
    setCampaignDeviceBack: query<{ campaign: string; deviceId: string }>()((q, a) =>
      q
        .updateTable('rotation_device')
        .set({ failure: null, lost_at: null })
        .where('campaign', '=', a.campaign)
        .where('device_id', '=', a.deviceId),
    ),
    /**
     * Of each profile the newest certificate of a device, the newest of all first. A hold is not for good: it counts. An
     * IDevID is among them however many LDevIDs came after it.
     */
    credentialsOfDevice: query<{ deviceId: string }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select([
          'profile',
          'issuer',
          dialect.hex<rows.DeviceCredentialRow['serial']>('serial').as('serial'),
          'not_before as notBefore',
          'not_after as notAfter',
          'issued_at as issuedAt',
          'status',
        ])
        .where('device_id', '=', a.deviceId)
        .where('status', '<>', sql<'revoked'>`'revoked'`)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('certificate as later')
                .select('later.serial')
                .where('later.device_id', '=', a.deviceId)
                .where('later.status', '<>', sql<'revoked'>`'revoked'`)
                .whereRef('later.profile', '=', 'certificate.profile')
                .whereRef('later.issued_at', '>', 'certificate.issued_at'),
            ),
          ),
        )
        .orderBy('issued_at', 'desc'),
    ),
    /** How many certificates of an issuer can be used still, or again when a hold ends. */
    livingOfIssuer: query<{ issuer: IssuerName; now: number }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('issuer', '=', a.issuer)
        .where('status', '<>', sql<'revoked'>`'revoked'`)
        .where('not_after', '>', a.now),
    ),
  };
}
