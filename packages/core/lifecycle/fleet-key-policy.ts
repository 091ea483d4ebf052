import { z } from 'zod';

/** What is done about RSA keys of the fleet that share a factor with another one, and so are broken. REQ-KEY-PROV-03 */
export const FleetKeyPolicySchema = z.strictObject({
  /** The least time between two looks; where nothing was issued meanwhile there is none. */
  everySeconds: z
    .int()
    .min(10)
    .max(30 * 86_400),
  /** `report`: an entry of the log and nothing more; a person decides. */
  onSharedFactor: z.enum(['report', 'hold', 'revoke']),
});
export type FleetKeyPolicy = z.infer<typeof FleetKeyPolicySchema>;

/** What holds where the policy says nothing. */
export const DEFAULT_FLEET_KEYS: FleetKeyPolicy = { everySeconds: 600, onSharedFactor: 'report' };
