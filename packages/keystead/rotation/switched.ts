import type { CampaignState, Reader } from '../store/index.ts';
import { planOfRow } from './view.ts';

/** Campaigns are few, and the newest count. */
const LOOKED_AT = 10_000;
const AFTER_SWITCH: ReadonlySet<CampaignState> = new Set<CampaignState>(['switched', 'retiring', 'retired']);

/** Whether a campaign of server keys has made `next` the key of a name in the place of `old`, also one that is paused since. */
export const campaignSwitched = (records: Reader, role: string, old: string, next: string): boolean =>
  records.rotation.campaigns(LOOKED_AT).some((row) => {
    if (row.kind !== 'server-keys' || row.target !== role || !AFTER_SWITCH.has(row.was ?? row.state)) return false;
    const plan = planOfRow(row);
    return plan.old === old && plan.next === next;
  });
