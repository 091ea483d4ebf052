import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { Store } from '../store/index.ts';

/** How far the clock may lie behind the last audit entry, as a clock that is being disciplined does. */
const TOLERATED_MS = 2000;

/**
 * Looks whether the clock is behind what was already recorded, before keyd is asked to sign: the audit log would
 * refuse the entry afterwards, and the signature would have to be abandoned.
 * @throws KeysteadError `clock.went-back`
 */
export function requireClock({ store, clock }: { store: Store; clock: Clock }): void {
  const last = store.read((records) => records.lastAuditTime());
  const now = clock.now().getTime();
  if (last !== undefined && now < last - TOLERATED_MS) {
    const seen = `${new Date(now).toISOString()}, after an entry of ${new Date(last).toISOString()}`;
    throw new KeysteadError('clock.went-back', { field: 'clock', seen });
  }
}
