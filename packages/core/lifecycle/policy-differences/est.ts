import type { Policy } from '../policy.ts';
import type { Findings } from './findings.ts';

/** What EST does for whom: somebody should know of a key that is no longer made on the device, or of clients shut out. */
export function est(found: Findings, before: Policy, after: Policy): void {
  const [keys, keysNext] = [before.est?.serverKeys ?? [], after.est?.serverKeys ?? []];
  for (const id of keysNext.filter((one) => !keys.includes(one)))
    found.add('warns', 'est.serverKeys', `keyd may make keys for devices by ${id}: they are then not the device's own`);
  for (const id of keys.filter((one) => !keysNext.includes(one)))
    found.add('warns', 'est.serverKeys', `keyd makes no key by ${id} any more: a device that can make none gets none`);
  const [bound, boundNext] = [before.est?.channelBinding ?? [], after.est?.channelBinding ?? []];
  for (const id of boundNext.filter((one) => !bound.includes(one)))
    found.add(
      'warns',
      'est.channelBinding',
      `requests by ${id} must be bound to their connection: most clients cannot`,
    );
  for (const id of bound.filter((one) => !boundNext.includes(one)))
    found.add('notes', 'est.channelBinding', `requests by ${id} need not be bound to their connection any more`);
}
