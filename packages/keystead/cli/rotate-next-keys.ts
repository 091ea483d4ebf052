import type { StandingJson } from '@keystead/core/trust';
import { systemClock } from '../clock/system.ts';
import { type CampaignView, nextBundle } from '../rotation/index.ts';

/** What people do next, and the content of the trust bundle where that is one. */
export interface Next {
  readonly next: string;
  readonly content?: StandingJson;
}

/** What people do next in a campaign of server keys or firmware keys. REQ-KEY-ROT-02, REQ-KEY-ROT-03 */
export function nextOfKeys({ id, kind, state, plan }: CampaignView, standing: StandingJson, out: string): Next {
  const publish = `keystead trust propose ${out}, approve, publish`;
  const firmware = kind === 'firmware-keys';
  const at = Math.floor(systemClock.now().getTime() / 1000);
  const content = nextBundle(plan, state, standing, at);
  switch (state) {
    case 'planned':
      return { next: `keystead rotate start ${id}` };
    case 'distributing':
      if (content !== undefined) return { next: `the bundle with both keys: ${publish}`, content };
      return { next: `keystead rotate advance ${id}, when keystead rotate dry-run ${id} names no device` };
    case 'switched': {
      const use = firmware ? 'a policy by which the new key signs' : 'the servers get the new key';
      return { next: `${use}, then keystead rotate advance ${id}, ring by ring` };
    }
    case 'retiring': {
      if (content !== undefined) return { next: `the bundle without the old key: ${publish}`, content };
      const policy = firmware ? 'a policy in which no line has the old key, then ' : '';
      return { next: `${policy}keystead rotate retire ${id}, when the devices have this bundle` };
    }
    case 'paused':
      return { next: `people look, then keystead rotate resume ${id}` };
    default:
      return { next: `nothing: it is ${state}` };
  }
}
