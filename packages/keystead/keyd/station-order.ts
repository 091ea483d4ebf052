import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { STATION_PROFILE, stationName, verifyStationOrder } from '@keystead/core/lifecycle';
import { type Profile, parseCsr } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';
import { nodeName } from './node-name.ts';
import type { Params } from './protocol.ts';

/**
 * A station gets a certificate by an order that an operator signed for this very request: a front end that could make
 * stations could stand at every line. For other profiles there is no such order.
 * @throws KeysteadError `station-order.*`, `request.malformed`.
 */
export function requireStationOrder(keyd: KeydContext, profile: Profile, params: Params<'issue'>, now: Date): void {
  const { requester, hosts = [], csr, format } = params;
  if ((profile.id === STATION_PROFILE) !== (requester.order !== undefined)) {
    throw new KeysteadError('request.malformed', { field: 'requester.order', seen: profile.id });
  }
  if (requester.order === undefined) return;
  const [station, ...more] = hosts;
  if (station === undefined || more.length > 0 || !stationName.safeParse(station).success) {
    throw new KeysteadError('request.malformed', { field: 'hosts', seen: hosts.join(', ').slice(0, 80) });
  }
  if (format !== undefined && format !== 'pkcs10') {
    throw new KeysteadError('request.malformed', { field: 'format', seen: format });
  }
  const csrSha256 = toHex(sha256(parseCsr(csr).der));
  const { signer } = verifyStationOrder(requester.order, keyd.policy, {
    factory: nodeName(keyd),
    ...{ station, csrSha256, now },
  });
  if (signer !== requester.id) throw new KeysteadError('station-order.differs', { field: 'signer', seen: signer });
}
