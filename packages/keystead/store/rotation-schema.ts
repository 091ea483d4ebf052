/** Where a campaign stands; packages/keystead/rotation/states.ts has the steps. */
export type CampaignState =
  | 'planned'
  | 'distributing'
  | 'switched'
  | 'retiring'
  | 'retired'
  | 'paused'
  | 'rolled-back'
  | 'aborted';

/** A rotation campaign. Times are milliseconds since 1970. */
export interface RotationCampaignTable {
  id: string;
  kind: string;
  /** What is rotated, in the words of its kind: `operational`, `root`, the name of a pin's role. */
  target: string;
  state: CampaignState;
  /** The state that it goes back to; null when it is not paused. */
  was: CampaignState | null;
  pause_reason: string | null;
  /** Canonical JSON. */
  plan: string;
  plan_sha256: Uint8Array;
  /** How many rings are open, from the first on. */
  rings_open: number;
  /** The statements by which a quorum insists, a JSON array; null without them. */
  statements: string | null;
  actor: string;
  request_id: string;
  planned_at: number;
  started_at: number | null;
  switched_at: number | null;
  retiring_at: number | null;
  /** When it was retired, rolled back or aborted. */
  ended_at: number | null;
  changed_at: number;
}

/** A device of a campaign. */
export interface RotationDeviceTable {
  campaign: string;
  device_id: string;
  /** Counted from 1. */
  ring: number;
  /** 1 where a quorum insists although it is cut off. */
  insisted: number;
  /** When its uptake was seen. */
  done_at: number | null;
  /** Why it counts as a failure: it is late, its certificate ended, or people reported it. */
  failure: string | null;
  /** Null again when people have let the campaign go on in spite of it. */
  failed_at: number | null;
  /** When nothing was expected of it any more: it cannot come back, has left the fleet, or has nothing that is rotated. */
  lost_at: number | null;
}

/** How far a ring is: kept with each change of one of its devices. */
export interface RotationCountTable {
  campaign: string;
  ring: number;
  devices: number;
  done: number;
  failed: number;
  /** Those that are not among the others: nothing is expected of them. */
  lost: number;
}

/** A ring that is open. */
export interface RotationRingTable {
  campaign: string;
  ring: number;
  opened_at: number;
  /** The end of the time in which its devices move. */
  window_end: number;
}
