import type { SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type BundleContent, isIn } from '@keystead/core/trust';
import { campaignSwitched } from '../rotation/index.ts';
import type { Reader } from '../store/index.ts';

/**
 * A key that devices pin gives way only to one that they have been told of: under each name under which the newest bundle
 * pins it, that bundle pins the other one as well, and a campaign of server keys from the one to the other has switched. The
 * campaign waits for the devices, or a quorum has given some of them up. REQ-KEY-ROT-03
 * @param content of the newest bundle, if there is one.
 * @throws KeysteadError `tls-key.not-announced`.
 */
export function requireAnnounced(
  records: Reader,
  content: Pick<BundleContent, 'pins'> | undefined,
  old: SpkiSha256,
  next: SpkiSha256,
  now: Date,
): void {
  const at = Math.floor(now.getTime() / 1000);
  for (const { role, keys } of content?.pins ?? []) {
    const pinned = (key: SpkiSha256): boolean => keys.some((pin) => pin.spkiSha256 === key && isIn(pin, at));
    if (!pinned(old)) continue;
    if (!pinned(next))
      throw new KeysteadError('tls-key.not-announced', { field: role, seen: `pinned without ${next}` });
    if (!campaignSwitched(records, role, old, next))
      throw new KeysteadError('tls-key.not-announced', { field: role, seen: 'no campaign to this key has switched' });
  }
}
