import { KeysteadError } from '@keystead/core/errors';
import { parseRecount, type Recount, verifyRecount } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { RecountJournalEntry } from '../journal-entry.ts';
import type { Params, Result } from '../protocol.ts';
import type { SeenCount } from '../unit-count.ts';

/**
 * Goes on where journal and counter do not agree, by an order that as many operators signed as sign a batch ticket and
 * that names what keyd sees: from then on the journal counts from the counter's value, and tickets and authorisations
 * that were in force before are closed, since of what was made with them nobody knows. The same order again has the
 * answer of the first time and no further effect. REQ-KEY-PROV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `recount.*`, `keyd.counter-failed`, `clock.went-back`, `keyd.journal-failed`; nothing is changed
 *   then.
 */
export const recount = (keyd: KeydContext, params: Params<'recount'>): Promise<Result<'recount'>> =>
  keyd.turnstile.alone(() => carryOut(keyd, params));

async function carryOut(keyd: KeydContext, params: Params<'recount'>): Promise<Result<'recount'>> {
  const now = keyd.now();
  const { order, requestId } = params;
  const { sha256 } = parseRecount(order);
  const before = keyd.state.lapses.recounts.find(({ orderSha256 }) => orderSha256 === sha256);
  if (before !== undefined) return tell(before);
  const { content, signatures } = verifyRecount(order, keyd.policy, now);
  const seen = await keyd.count.seen();
  requireThese(content, seen, keyd.hierarchy.pins.vkey);
  const entry = {
    time: now.toISOString(),
    kind: 'recount' as const,
    counter: { make: seen.make, name: seen.name, value: seen.value, mark: seen.mark },
    journal: seen.journal,
    orderSha256: sha256,
    signers: signatures.map(({ signer }) => signer),
    reason: content.reason,
    requestId,
  };
  const goBack = keyd.count.goOnFrom(seen);
  // Before it is durable: nothing must be taken with an old ticket when the entry stands and its answer was lost.
  const reopen = keyd.state.takeRecount(entry);
  try {
    await keyd.journal.append(entry);
  } catch (error) {
    if (goBack()) reopen();
    throw error;
  }
  return tell(entry);
}

function requireThese({ log, counter, journal }: Recount, seen: SeenCount, vkey: string): void {
  if (log !== vkey) throw new KeysteadError('recount.other-keyd', { field: 'log', seen: log });
  for (const field of ['make', 'name', 'value', 'mark'] as const) {
    if (counter[field] === seen[field]) continue;
    throw new KeysteadError('recount.other-values', {
      field: `counter.${field}`,
      seen: `${counter[field]}, where the counter says ${seen[field]}`,
    });
  }
  if (journal === seen.journal) return;
  throw new KeysteadError('recount.other-values', {
    field: 'journal',
    seen: `${journal ?? 'none'}, where the journal says ${seen.journal ?? 'none'}`,
  });
}

const tell = ({
  orderSha256,
  time,
  signers,
  counter,
  journal,
}: Omit<RecountJournalEntry, 'n' | 'kind'>): Result<'recount'> => ({
  orderSha256,
  at: new Date(time),
  signers,
  counter,
  journal,
});
