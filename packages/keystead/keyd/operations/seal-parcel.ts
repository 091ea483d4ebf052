import { KeysteadError } from '@keystead/core/errors';
import { requestName, signSeal } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Seals what the front end of this node has put into the parcel of a consignment, so that nobody on the way changes it.
 * It proves no more than that: certificates and records prove themselves, and the units are those of the consignment.
 * REQ-KEY-PROV-01
 * @throws KeysteadError `consignment.not-a-node`, `consignment.number-ahead`, `key.use-forbidden`,
 *   `key.cryptoperiod-ended`, `clock.went-back`.
 */
export async function sealParcel(
  keyd: KeydContext,
  { number, consignmentSha256, contentsSha256 }: Params<'sealParcel'>,
): Promise<Result<'sealParcel'>> {
  const factory = keyd.hierarchy.node?.name;
  if (factory === undefined) throw new KeysteadError('consignment.not-a-node', { field: 'keyd', seen: 'headquarters' });
  const last = keyd.consignable.last()?.number ?? 0;
  if (number > last) {
    throw new KeysteadError('consignment.number-ahead', { field: 'number', seen: `${number}, where ${last} is last` });
  }
  keyd.ledger.require(requestName('evidence'), 'protect', keyd.now());
  return { seal: await signSeal({ factory, number, consignmentSha256, contentsSha256 }, keyd.evidence) };
}
