import { KeysteadError } from '@keystead/core/errors';
import {
  type FirmwareKeyOrder,
  firmwareIdOf,
  firmwareKeyOrderSha256,
  parseFirmwareKeyStatement,
  passkeyUses,
  verifyFirmwareKeyOrder,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import type { FirmwareKeyJournalEntry } from '../firmware-entries.ts';
import { requireKnownUses } from '../firmware-signer.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Kills a firmware key, or brings back a suspended one. keyd verifies each operator's signature by the policy in force,
 * that they are as many as it asks for, and that they mean this very key. It holds from this moment on, is in the journal
 * when this resolves, and nothing takes the end of a key back. The same order again has the answer of the first time and no
 * further effect. REQ-KEY-ROT-02, REQ-KEY-SOD-02
 * @throws KeysteadError `firmware-key-order.*`, `firmware-key.uses-unknown`, `firmware-key.scope`, `firmware-order.before-restore`, `firmware-order.before-recount`,
 *   `key.transition-forbidden`, `clock.went-back`, `keyd.journal-failed`; the key is then as it was.
 */
export function orderFirmwareKey(
  keyd: KeydContext,
  { statements, requestId }: Params<'orderFirmwareKey'>,
): Promise<Result<'orderFirmwareKey'>> {
  const { firmwareKeyOrders } = keyd.state;
  return firmwareKeyOrders.turnstile.alone(async () => {
    const now = keyd.now();
    const asked = parseFirmwareKeyStatement(statements[0] ?? '').content.order;
    const before = firmwareKeyOrders.of(firmwareKeyOrderSha256(asked));
    if (before !== undefined) return tell(keyd, before);
    const { order, orderSha256, proposer, approvers } = verifyFirmwareKeyOrder(statements, keyd.policy, now);
    // A key that was killed since the backup is alive again in it: what was agreed before is not the way back.
    if (order.change === 'resume') for (const text of statements) requireAfterRestore(keyd, text);
    const used = order.change === 'resume' ? order.used : undefined;
    if (order.change === 'resume') requireUsed(keyd, order);
    const passkeys = passkeyUses(statements.map(parseFirmwareKeyStatement));
    // A key in foreign hands is killed at once; who approved it by which authenticator is looked at afterwards.
    if (order.change === 'resume') keyd.state.passkeys.require(passkeys);
    const { id: key, undo } = keyd.ledger.order({ order, proposer, approvers }, requestId, now);
    const entry = {
      time: now.toISOString(),
      kind: 'firmware-key' as const,
      key,
      spkiSha256: order.spkiSha256,
      change: order.change,
      ...(used === undefined ? {} : { used }),
      order: order.id,
      orderSha256,
      by: proposer,
      approvers: [...approvers],
      ...(passkeys.length === 0 ? {} : { passkeys: [...passkeys] }),
      reason: order.reason,
      requestId,
    };
    keyd.state.passkeys.take(passkeys);
    await keyd.journal.append(entry).catch((error: unknown) => {
      undo();
      throw error;
    });
    firmwareKeyOrders.take(entry);
    keyd.state.firmware.vouch(entry);
    keyd.publishFirmwareKeys();
    return tell(keyd, entry);
  });
}

/**
 * What was forgotten is said by those who bring the key back, and agrees with what is known and with the policy in force:
 * a key signs by one scheme for all of its life, and a word left out must not make that another one for ever.
 * @throws KeysteadError `firmware-key.uses-unknown`, `firmware-key.scope`.
 */
function requireUsed(keyd: KeydContext, { key: id, spkiSha256, used }: FirmwareKeyOrder & { change: 'resume' }): void {
  const key = keyd.policy.firmware?.keys.find((one) => one.id === id);
  if (used === undefined) {
    if (key !== undefined) requireKnownUses(keyd, key, spkiSha256);
    return;
  }
  if (used.orders === 0) return;
  keyd.state.firmware.requireScheme(spkiSha256, used.signature ?? undefined);
  if (key === undefined || (key.signature ?? null) === used.signature) return;
  const seen = `${used.signature ?? 'none'}, where the policy has ${key.signature ?? 'none'} for ${id}`;
  throw new KeysteadError('firmware-key.scope', { field: 'used.signature', seen });
}

function requireAfterRestore(keyd: KeydContext, text: string): void {
  const notBefore = parseFirmwareKeyStatement(text).content.signedAt;
  keyd.state.lapses.requireAfterRestore({ notBefore }, 'firmware-order');
}

function tell(keyd: KeydContext, entry: Omit<FirmwareKeyJournalEntry, 'n'>): Result<'orderFirmwareKey'> {
  const { order, key: keystoreId, change, time, by, approvers, spkiSha256 } = entry;
  const key = firmwareIdOf(keystoreId);
  if (key === undefined) throw new KeysteadError('internal.unexpected', { field: 'firmware-key' });
  const certificate = keyd.hierarchy.firmware.get(key);
  const info = certificate === undefined ? undefined : readCertificate(certificate);
  const certificateSerial = info?.spkiSha256 === spkiSha256 ? info.serial : null;
  return { order, key, keystoreId, change, at: new Date(time), by, approvers, certificateSerial };
}
