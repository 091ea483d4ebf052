import type { Clock } from '@keystead/core/clock';
import type { Policy } from '@keystead/core/lifecycle';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { Authority, KeyClaims } from '../authority/index.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';

/** What provisioning stands on. */
export interface ProvisioningDeps {
  readonly store: Store;
  readonly keyd: Pick<
    KeydClient,
    | 'provision'
    | 'challengeAttestation'
    | 'signEvidence'
    | 'signConsignment'
    | 'sealParcel'
    | 'takeConsignment'
    | 'resolve'
    | 'challengeElement'
    | 'makeUnitKey'
    | 'deriveUnitKey'
  >;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly policy: Policy;
  /** The one that the authority has. */
  readonly claims: KeyClaims;
  readonly authority: Authority;
  /** Where `<deviceId>.yaml` and `.yaml.sig` of each unit go. */
  readonly recordsDirectory: string;
  /** Where `<deviceId>.decommission.yaml` and `.sig` go. */
  readonly evidenceDirectory: string;
}
