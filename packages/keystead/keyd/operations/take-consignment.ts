import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Takes a consignment of a factory node in, at headquarters. What the front end hands over proves itself or is refused:
 * the consignment by the factory's evidence key, each certificate by the factory's sub-CA, each record by both. keyd
 * finds the conflicts, keeps what it decided, and signs a receipt. REQ-KEY-PROV-01, REQ-KEY-PROV-03
 * @throws KeysteadError `consignment.*`, `factory.document-malformed`, `factory.signature-invalid`,
 *   `key.use-forbidden`, `clock.went-back`, `keyd.journal-failed`.
 */
export async function takeConsignment(
  keyd: KeydContext,
  params: Params<'takeConsignment'>,
): Promise<Result<'takeConsignment'>> {
  const { seen, requestId, ...parcel } = params;
  const taken = await keyd.intake.take({ parcel: { v: 1, ...parcel }, seen, requestId, now: keyd.now() });
  return { ...taken, missing: [...taken.missing] };
}
