import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Appends leaf hashes to the audit log and signs its head, with the time. REQ-KEY-AUD-01
 * @throws KeysteadError `log.size-mismatch` telling keyd's size, `request.malformed`, `clock.went-back`,
 *   `keyd.journal-failed`.
 */
export function signCheckpoint(keyd: KeydContext, params: Params<'signCheckpoint'>): Promise<Result<'signCheckpoint'>> {
  return keyd.log.append(params.size, params.leaves, keyd.now());
}
