import type { Clock } from '@keystead/core/clock';
import type { Policy } from '@keystead/core/lifecycle';
import type { AppendAudit, RefusalLog, StationClient } from '../../access/index.ts';
import type { KeydClient } from '../../keyd-client/index.ts';
import type { Store } from '../../store/index.ts';
import type { Provisioning } from '../provisioning.ts';

/** What the stations stand on. */
export interface StationDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'signOff' | 'status'>;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly policy: Policy;
  readonly provisioning: Provisioning;
  /** The name of this factory node, or `headquarters`. */
  readonly site: string;
}

/** A request of a station, whose certificate is proven. */
export interface StationCall {
  readonly client: StationClient;
  readonly requestId: string;
}
