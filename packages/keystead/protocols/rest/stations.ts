import { stationName } from '@keystead/core/lifecycle';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody, csrBytes, pemOrBase64 } from './schemas.ts';
import type { IssuedView } from './views.ts';

/** Who is signed on at a station. */
export interface ShiftView {
  readonly station: string;
  readonly line: string;
  readonly operator: string;
  readonly since: string;
  readonly until: string;
}

/** What these routes need of the domain. */
export interface StationOperatorDomain {
  enrolStation(caller: Caller, v: { station: string; csr: Uint8Array; order: string }): Promise<IssuedView>;
  /** Who is signed on, and the name of this site, which orders and sign-ons name. */
  stations(caller: Caller): Promise<{ factory: string; stations: ShiftView[] }>;
  signOffStation(caller: Caller, station: string): Promise<{ station: string; operator: string }>;
}

const Enrol = z.strictObject({
  station: stationName,
  csr: pemOrBase64,
  /** The order as `signStationOrder` wrote it. */
  order: z.string().min(1).max(20_480),
});
const Named = z.strictObject({ station: stationName });

/** Stations as operators see to them: their certificates, and who is signed on. */
export function stationOperatorRoutes(api: FastifyInstance, domain: StationOperatorDomain, reading: Reading): void {
  const { read, caller } = reading;
  api.post('/station-certificates', async (request) => {
    const body = await read(request, () => {
      const { station, csr, order } = checkBody(Enrol, request.body);
      return { station, csr: csrBytes(csr), order };
    });
    return domain.enrolStation(caller(request), body);
  });
  api.get('/stations', (request) => domain.stations(caller(request)));
  api.post('/stations/:station/sign-off', async (request) => {
    const { station } = await read(request, () => checkBody(Named, request.params));
    return domain.signOffStation(caller(request), station);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const STATION_OPERATOR_ROUTES = [
  ['POST', '/api/v1/station-certificates {station, csr, order}', 'station.enrol'],
  ['GET', '/api/v1/stations', 'station.sign-off'],
  ['POST', '/api/v1/stations/:station/sign-off', 'station.sign-off'],
] as const;
