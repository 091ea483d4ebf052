import { profileOf } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import { requireUnit } from './challenge-attestation.ts';
import { requireKeyOrigin } from './key-way.ts';

/**
 * Challenges the chip of a unit of a batch, once everything that can be judged before is judged. Signs nothing and takes
 * no unit. REQ-KEY-GEN-03, REQ-KEY-PROV-01
 * @throws KeysteadError as `requireUnit` does; `element.*`, `attestation.too-many`, `attestation.busy`, `key.*`.
 */
export async function challengeElement(
  keyd: KeydContext,
  params: Params<'challengeElement'>,
): Promise<Result<'challengeElement'>> {
  const now = keyd.now();
  const { signed, unit } = requireUnit(keyd, params, now);
  profileOf(keyd.policy, signed.ticket.profile);
  requireKeyOrigin(signed.ticket, 'secure-element');
  const { id, challenge, expiresAt, chip } = keyd.elements.challenge(unit, params.chain, now);
  keyd.state.chips.require(unit.deviceId, chip.ids);
  return { challengeId: id, challenge, expiresAt, chip: chip.facts };
}
