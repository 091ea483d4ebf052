import { verifyKeyOrder } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { LedgerKey } from '../held-key.ts';
import type { Params, Result } from '../protocol.ts';

/** Every key that keyd holds, with its state as keyd enforces it, and what was ordered of it. REQ-KEY-POL-01 */
export async function keys(keyd: KeydContext): Promise<Result<'keys'>> {
  return {
    keys: keyd.ledger.list().map(tell),
    masters: [...keyd.masters],
    responders: keyd.respondersInMemory(),
    destroyed: keyd.state.destroyed.list().map(({ id, spkiSha256, at, why }) => ({ id, spkiSha256, at, why })),
  };
}

/**
 * Carries out an operator's signed order: it holds from this moment on, is in the journal when this resolves, and
 * survives a restart. keyd verifies the signature itself, so that a front end can neither stop a key for good nor
 * bring one back. REQ-KEY-POL-01
 * @throws KeysteadError `key-order.*`, `keystore.key-missing`, `key.transition-forbidden`, `clock.went-back`,
 *   `keyd.journal-failed`; the key is then as it was.
 */
export async function changeKey(keyd: KeydContext, params: Params<'changeKey'>): Promise<Result<'changeKey'>> {
  const now = keyd.now();
  const { requestId } = params;
  const signed = verifyKeyOrder(params.order, keyd.policy, now);
  const { id: key, undo } = keyd.ledger.change(signed, requestId, now);
  const { spkiSha256, change, reason } = signed.order;
  const entry = { kind: 'key' as const, key, spkiSha256, change, by: signed.signer, reason, requestId };
  await keyd.journal.append({ time: now.toISOString(), ...entry }).catch((error: unknown) => {
    undo();
    throw error;
  });
  keyd.publishFirmwareKeys();
  return { key, change, by: signed.signer, at: now };
}

function tell({ info, ...key }: LedgerKey): Result<'keys'>['keys'][number] {
  const { id, algorithm, custody, fips140, createdAt, evidence } = info;
  return {
    id,
    purpose: key.purpose,
    algorithm,
    custody,
    fips140,
    createdAt: new Date(createdAt),
    evidence: { ...evidence },
    spkiSha256: key.spkiSha256,
    activatedAt: dateOf(key.activatedAt),
    originatorEnd: dateOf(key.originatorEnd),
    recipientEnd: dateOf(key.recipientEnd),
    changes: [...key.changes],
  };
}

const dateOf = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));
