import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Appends leaf hashes to the audit log and signs its head, with the time. REQ-KEY-AUD-01
 * @throws KeysteadError `key.use-forbidden`, `log.size-mismatch` telling keyd's size, `request.malformed`, `clock.went-back`,
 *   `keyd.journal-failed`.
 */
export async function signCheckpoint(
  keyd: KeydContext,
  params: Params<'signCheckpoint'>,
): Promise<Result<'signCheckpoint'>> {
  const now = keyd.now();
  for (const key of ['log', 'log-cosign']) keyd.ledger.require(key, 'protect', now);
  return keyd.log.append(params.size, params.leaves, now);
}
