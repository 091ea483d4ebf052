import type { Clock } from '@keystead/core/clock';
import type { Policy } from '@keystead/core/lifecycle';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';
import type { KeyClaims } from './key-claims.ts';

/** What the authority asks of keyd. */
export type Signing = Pick<KeydClient, 'issue' | 'issueServerKey' | 'signCrl' | 'journal' | 'status' | 'trust'>;

/** What every act of the authority stands on. */
export interface AuthorityDeps {
  readonly store: Store;
  readonly keyd: Signing;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly policy: Policy;
  /** One for the whole process: provisioning shares it. */
  readonly claims: KeyClaims;
}
