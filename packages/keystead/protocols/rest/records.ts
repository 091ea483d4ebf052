import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody, ticketId } from './schemas.ts';

const time = z.iso.datetime({ offset: false }).transform((text) => new Date(text));

/** A query string: of which batch, made from when on and before when, and where the page begins. */
const Records = z.strictObject({
  ticket: ticketId.optional(),
  from: time.optional(),
  to: time.optional(),
  after: z.string().max(128).optional(),
});

export type RecordQuery = z.output<typeof Records>;

/** What these routes need of the domain. */
export interface RecordDomain {
  record(caller: Caller, deviceId: string): Promise<unknown>;
  /** A page of records; `next` is null in the last one. */
  records(caller: Caller, query: RecordQuery): Promise<unknown>;
  birthCertificate(caller: Caller, deviceId: string): Promise<{ birthCertificate: string }>;
  /** The signed ticket of a batch. */
  batch(caller: Caller, ticketId: string): Promise<{ ticket: string }>;
}

/** Provisioning records: one, those of a batch or of a time, and as a birth certificate. REQ-KEY-PROV-02 */
export function recordRoutes(api: FastifyInstance, domain: RecordDomain, { read, caller, parameter }: Reading): void {
  api.get('/records', async (request) => {
    const query = await read(request, () => checkBody(Records, request.query));
    return domain.records(caller(request), query);
  });
  api.get('/records/:deviceId', async (request) => {
    const id = await read(request, () => parameter(request, 'deviceId'));
    return domain.record(caller(request), id);
  });
  api.get('/records/:deviceId/birth-certificate', async (request) => {
    const id = await read(request, () => parameter(request, 'deviceId'));
    return domain.birthCertificate(caller(request), id);
  });
  api.get('/batches/:id', async (request) => {
    const id = await read(request, () => parameter(request, 'id'));
    return domain.batch(caller(request), id);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const RECORD_ROUTES = [
  ['GET', '/api/v1/records ?ticket &from &to &after', 'device.read'],
  ['GET', '/api/v1/records/:deviceId', 'device.read'],
  ['GET', '/api/v1/records/:deviceId/birth-certificate', 'device.read'],
  ['GET', '/api/v1/batches/:id', 'device.read'],
] as const;
