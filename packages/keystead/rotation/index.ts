export { Campaigns } from './campaigns.ts';
export type { AskedBy, PublishedBundles, RotationDeps, ServedIssuer, ServedRollover } from './deps.ts';
export { type DeviceFacts, type Standing, standingOf, WHYS, type Why } from './dry-run.ts';
export { CAMPAIGN_KINDS, type CampaignKind, kindsMarkdown } from './kinds.ts';
export { nextBundle } from './next-bundle.ts';
export { type Plan, type PlanDraft, planOf } from './plan.ts';
export { type SuggestedWindow, suggestedWindow } from './renewal-hint.ts';
export { statesMarkdown, stepsMarkdown } from './states.ts';
export type { CampaignView, DryRunView, RingView } from './view.ts';
