import type { Role } from './roles.ts';

/** How many approvals an order takes besides its proposal, and by which roles. */
export interface ApprovalQuorum {
  readonly approvals: number;
  readonly roles: readonly Role[];
  /** An approval counts only by a key that is held in hardware; of the proposal it is not asked. */
  readonly hardware?: boolean;
}
