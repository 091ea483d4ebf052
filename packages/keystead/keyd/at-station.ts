import { KeysteadError } from '@keystead/core/errors';
import { requireSignOnPlace, requireSignOnTime, type SignedTicket, stationRules } from '@keystead/core/lifecycle';
import type { KeydContext } from './context.ts';
import { nodeName } from './node-name.ts';
import type { Params } from './protocol.ts';

/** Who answers for a unit, and where it is made. */
export interface Standing {
  readonly operator: string;
  readonly station: string;
  readonly line: string;
  /** SHA-256 of the sign-on that says so, hex; undefined where it is the word of the front end. */
  readonly signOnSha256?: string;
}

type Asked = Pick<Params<'provision'>, 'operator' | 'station' | 'line' | 'at'>;

/**
 * Who stands at the line. From a station it is what the operator has signed, and the station what its certificate says;
 * without one it is what the front end says, which the policy may forbid. REQ-KEY-PROV-01
 * @throws KeysteadError `sign-on.*`, `requester.unproven`, `requester.revoked`, `ticket.station-forbidden`.
 */
export function standingOf(keyd: KeydContext, asked: Asked, { ticket }: SignedTicket, now: Date): Standing {
  const { operator, station, line, at } = asked;
  if (at === undefined) {
    if (stationRules(keyd.policy).required) {
      throw new KeysteadError('sign-on.needed', { field: 'at', seen: `${operator}, without a station` });
    }
    // Where a ticket names stations, the word of the front end for which one it is counts for nothing.
    if (ticket.stations !== undefined) {
      throw new KeysteadError('ticket.station-forbidden', {
        field: 'station',
        seen: `${station}, which nothing shows`,
      });
    }
    return { operator, station, line };
  }
  const signed = keyd.signOns.verify(at.signOn);
  const { content } = signed;
  requireSignOnPlace(content, { factory: nodeName(keyd), station: keyd.requesters.station(at.certificate, now) });
  requireSignOnTime(content, now);
  keyd.state.lapses.requireAfterRestore(content, 'sign-on');
  keyd.state.endedSignOns.requireOpen(signed);
  const standing = { operator: signed.signer, station: content.station, line: content.line };
  for (const part of ['operator', 'station', 'line'] as const) {
    if (standing[part] === asked[part]) continue;
    const seen = `${asked[part]}, where ${standing[part]} is signed on`;
    throw new KeysteadError('sign-on.differs', { field: part, seen });
  }
  return { ...standing, signOnSha256: signed.sha256 };
}
