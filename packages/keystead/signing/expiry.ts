import type { SigningRequestRow } from '../store/index.ts';
import type { AskedBy, SigningDeps } from './deps.ts';
import { MOST_OPEN } from './request.ts';
import { takeStep } from './step.ts';

/** A draft that nobody signs for in so long is over. */
const DRAFT_MS = 7 * 86_400_000;

/** Ends the drafts that nobody signed for, and the requests of which a statement has ended. */
export async function expireDue(deps: Pick<SigningDeps, 'store' | 'clock' | 'audit'>): Promise<void> {
  const now = deps.clock.now().getTime();
  const due = ({ state, createdAt, expiresAt }: SigningRequestRow): boolean =>
    (state === 'draft' && createdAt + DRAFT_MS <= now) ||
    (state === 'waiting' && expiresAt !== null && expiresAt <= now);
  const found = deps.store.read(({ signing }) =>
    (['draft', 'waiting'] as const).flatMap((state) => signing.requestsIn(state, MOST_OPEN).filter(due)),
  );
  if (found.length === 0) return;
  await deps.store.commit((tx) => {
    for (const { id } of found) {
      const row = tx.signing.request(id);
      const by: AskedBy = { actor: { kind: 'system', id: 'serve' }, requestId: row?.requestId ?? 'none' };
      if (row !== undefined && due(row)) takeStep(deps, tx, row, 'expire', by, {});
    }
  });
}
