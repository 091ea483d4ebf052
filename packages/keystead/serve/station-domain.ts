import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import { asKeysteadError } from '../protocols/http/status.ts';
import type { Caller, IssuedView } from '../protocols/rest/domain.ts';
import type { ShiftView, StationOperatorDomain } from '../protocols/rest/stations.ts';
import type { OutcomeView, StateView, StationDomain } from '../protocols/station/index.ts';
import {
  type Outcome,
  outcomeNamed,
  outcomeOfError,
  type StationCall,
  type StationState,
} from '../provisioning/index.ts';
import { issuedView } from './issued-view.ts';
import type { Rooms } from './rooms.ts';

type Parts = Pick<Rooms, 'access' | 'authority' | 'stations' | 'hierarchy'>;

/** The station API's view of the rooms: the caller is a station, or is refused. */
export function stationDomain(rooms: Pick<Parts, 'access' | 'stations' | 'hierarchy'>): StationDomain {
  const { access, stations, hierarchy } = rooms;

  async function call(caller: Caller, what: string): Promise<StationCall> {
    const asked = { requestId: caller.requestId, what };
    const client = await access.identify(caller.certificate, asked);
    if (client.kind === 'station') return { client, requestId: caller.requestId };
    const error = new KeysteadError('station.needed', {
      field: 'client certificate',
      seen: `${client.kind} ${client.id}`,
    });
    await access.refused(error, asked, client);
    throw error;
  }
  const state = async (at: StationCall): Promise<StateView> => stateView(await stations.state(at));

  return {
    state: async (caller) => state(await call(caller, 'state of a station')),
    async signOn(caller, signOn, time) {
      const at = await call(caller, 'sign on');
      await stations.signOn(at, signOn, time);
      return state(at);
    },
    async signOff(caller) {
      const at = await call(caller, 'sign off');
      await stations.signOff(at);
      return state(at);
    },
    async openBatch(caller, ticket) {
      const opened = await stations.openBatch(await call(caller, 'open batch'), ticket);
      return { ticketId: opened.ticket.id, quota: opened.ticket.quota };
    },
    async challenge(caller, unit) {
      const made = await stations.challenge(await call(caller, 'challenge unit'), unit);
      return {
        challengeId: made.challengeId,
        idObject: toBase64(made.idObject),
        encryptedSecret: toBase64(made.encryptedSecret),
        expiresAt: made.expiresAt.toISOString(),
      };
    },
    async unit(caller, { way, ...unit }) {
      const at = await call(caller, 'provision unit');
      if (way !== undefined) {
        const error = new KeysteadError('station.way-unknown', { field: 'way', seen: Object.keys(way).join(', ') });
        await stations.refused('provision unit', at, error);
        throw error;
      }
      const issued = await stations.unit(at, unit);
      const view = {
        ...issuedView(issued, hierarchy),
        record: issued.record,
        signature: toBase64(issued.signature),
      };
      return { outcome: outcomeView(outcomeNamed(issued.repeated ? 'done-before' : 'done')), unit: view };
    },
    async result(caller, deviceId) {
      await call(caller, 'result of a unit');
      const { outcome, unit } = stations.result(deviceId);
      if (unit === undefined) return { outcome: outcomeView(outcome) };
      const view = { ...issuedView(unit, hierarchy), record: unit.record, signature: toBase64(unit.signature) };
      return { outcome: outcomeView(outcome), unit: view };
    },
    outcomeOf: (thrown) => outcomeView(outcomeOfError(asKeysteadError(thrown))),
    async refused(caller, thrown) {
      const asked = { requestId: caller.requestId, what: 'station' };
      const client = await access.identify(caller.certificate, asked).catch(() => undefined);
      await access.refused(asKeysteadError(thrown), asked, client);
    },
  };
}

/** REST's view of stations, for operators. */
export function stationOperatorDomain(
  { authority, stations, access }: Pick<Parts, 'authority' | 'stations' | 'access'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
  view: (issued: Parameters<typeof issuedView>[0]) => IssuedView,
): StationOperatorDomain {
  return {
    async enrolStation(caller, v) {
      const client = await operator(caller, 'station.enrol', 'station certificate');
      return view(await authority.stationCertificate({ ...v, client, requestId: caller.requestId }));
    },
    async stations(caller) {
      await operator(caller, 'station.sign-off', 'list stations');
      return {
        factory: stations.site,
        stations: stations.open().map(
          ({ station, line, operator: name, signedOnAt, notAfter }): ShiftView => ({
            ...{ station, line, operator: name },
            since: new Date(signedOnAt).toISOString(),
            until: new Date(notAfter).toISOString(),
          }),
        ),
      };
    },
    async signOffStation(caller, station) {
      const client = await operator(caller, 'station.sign-off', 'sign off a station');
      try {
        const ended = await stations.signOffBy(client, station, caller.requestId);
        return { station: ended.station, operator: ended.operator };
      } catch (error) {
        if (error instanceof KeysteadError && error.kind !== 'unavailable')
          await access.refused(error, { requestId: caller.requestId, what: 'sign off a station' }, actorOf(client));
        throw error;
      }
    },
  };
}

const outcomeView = ({ result, code, name, about, what, todo }: Outcome): OutcomeView => ({
  result,
  code,
  name,
  about,
  what,
  todo,
});

const stateView = ({ station, site, now, maxSignOnSeconds, shift, batches, counts }: StationState): StateView => ({
  station,
  factory: site,
  time: now.toISOString(),
  maxSignOnSeconds,
  signedOn:
    shift === undefined
      ? null
      : { operator: shift.operator, line: shift.line, until: new Date(shift.notAfter).toISOString() },
  batches,
  counts,
});
