import type { DeviceCampaign, DeviceCredentialRow, Reader } from '../store/index.ts';
import { rulesOf } from './kinds.ts';
import { planOfRow } from './view.ts';

/** When a device should renew, as ACME tells its clients (RFC 9773 section 4.2). */
export interface SuggestedWindow {
  readonly campaign: string;
  readonly reason: string;
  readonly start: Date;
  readonly end: Date;
}

/**
 * The window in which a campaign asks the holder of a certificate to renew it; undefined where none does. A client picks a
 * moment in it by chance, so that the devices of a ring do not come at once. REQ-KEY-ROT-02
 */
export function suggestedWindow(
  records: Reader,
  deviceId: string,
  certificate: Pick<DeviceCredentialRow, 'profile' | 'issuer' | 'issuedAt'>,
): SuggestedWindow | undefined {
  const asking = records.rotation.ofDevice(deviceId).find((one) => asksFor(one, certificate));
  if (asking === undefined) return undefined;
  const { campaign, openedAt, windowEnd } = asking;
  return { campaign, reason: planOfRow(asking).reason, start: new Date(openedAt), end: new Date(windowEnd) };
}

/** Whether a campaign wants this very certificate to be followed by another: one that came since is as it should be. */
function asksFor(
  asking: DeviceCampaign,
  { profile, issuer, issuedAt }: Pick<DeviceCredentialRow, 'profile' | 'issuer' | 'issuedAt'>,
): boolean {
  const plan = planOfRow(asking);
  if (rulesOf(plan.kind).uptake !== 'certificate') return false;
  if (plan.kind === 'issuing-ca') return issuer === plan.target;
  return profile === plan.target && issuedAt < (asking.startedAt ?? 0);
}
