import { z } from 'zod';
import { seconds } from '../keying.ts';

/** What a policy says of factory nodes. Times are seconds. */
export const FactoryPolicySchema = z.strictObject({
  /**
   * How long a node goes on by the CRLs of headquarters after their end, while the link is down. Then it provisions
   * nothing until it gets newer ones: it could not know that an operator was revoked.
   */
  offlineSeconds: seconds,
  /** The longest time for which a sub-CA of a node is certified at once. */
  maxSeconds: seconds,
});
export type FactoryPolicy = z.infer<typeof FactoryPolicySchema>;

/** Three days without a link, and three months between two renewals. */
export const DEFAULT_FACTORY_POLICY: FactoryPolicy = { offlineSeconds: 72 * 3600, maxSeconds: 90 * 86_400 };
