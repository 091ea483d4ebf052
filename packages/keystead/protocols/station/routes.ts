import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { clientCertificate } from '../http/server.ts';
import { asKeysteadError, HTTP_STATUS } from '../http/status.ts';
import type { Caller } from '../rest/caller.ts';
import { checkBody } from '../rest/schemas.ts';
import { type UnitWay, UnitWaySchema, unitEvidence, unitWay } from '../rest/unit-ways.ts';
import type { OutcomeView, StationDomain } from './domain.ts';
import { Challenge, Device, OpenBatch, SignOn, signOnText, Unit } from './schemas.ts';

/** After a retry: how long to wait, seconds. */
const RETRY_AFTER_SECONDS = 2;

const callerOf = (request: FastifyRequest): Caller => ({
  certificate: clientCertificate(request),
  requestId: request.id,
});

/**
 * The API of test rigs and of `keystead station`, JSON over mutual TLS with the station's certificate. Each answer says
 * pass, fail or retry, with a code that never changes and the words for the operator. REQ-KEY-PROV-01
 */
export function registerStation(app: FastifyInstance, domain: StationDomain, log: Logger): void {
  app.register(
    async (api) => {
      api.setErrorHandler(async (thrown, request, reply) => {
        if (thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('FST_')) {
          await domain.refused(callerOf(request), thrown);
        }
        return sendOutcome(thrown, domain.outcomeOf(thrown), request, reply, log);
      });

      api.get('/', (request) => domain.state(callerOf(request)));
      api.post('/sign-on', async (request) => {
        const { time, signOn } = await read(request, () => checkBody(SignOn, request.body));
        return domain.signOn(callerOf(request), signOnText(signOn), time);
      });
      api.post('/sign-off', (request) => domain.signOff(callerOf(request)));
      api.post('/batches', async (request) => {
        const { ticket } = await read(request, () => checkBody(OpenBatch, request.body));
        return domain.openBatch(callerOf(request), ticket);
      });
      api.post('/attestations', async (request) => {
        const { ticketId, deviceId, time, ...shown } = await read(request, () => checkBody(Challenge, request.body));
        return domain.challenge(callerOf(request), { ticketId, deviceId, time, shown });
      });
      api.post('/units', async (request) => {
        const unit = await read(request, () => {
          const { csr, attestation, way, ...named } = checkBody(Unit, request.body);
          return {
            ...named,
            ...unitEvidence({ csr, attestation, way: way === undefined ? undefined : knownWay(way) }),
          };
        });
        return told(unit.deviceId, request, await domain.unit(callerOf(request), unit));
      });
      api.get('/units/:deviceId', async (request) => {
        const { deviceId } = await read(request, () => checkBody(Device, request.params));
        return told(deviceId, request, await domain.result(callerOf(request), deviceId));
      });
    },
    { prefix: '/api/v1/station' },
  );

  async function read<T>(request: FastifyRequest, reading: () => T): Promise<T> {
    try {
      return reading();
    } catch (error) {
      await domain.refused(callerOf(request), error);
      throw error;
    }
  }
}

/** The way that a rig asks for. @throws KeysteadError `station.way-unknown`, `request.malformed`. */
function knownWay(way: Readonly<Record<string, unknown>>): UnitWay {
  const known = UnitWaySchema.safeParse(way);
  if (known.success) return unitWay(known.data);
  const seen = typeof way.kind === 'string' ? way.kind.slice(0, 40) : Object.keys(way).join(', ').slice(0, 80);
  throw new KeysteadError('station.way-unknown', { field: 'way', seen });
}

const told = (
  deviceId: string,
  request: FastifyRequest,
  { outcome, unit }: { outcome: OutcomeView; unit?: object },
): object => ({ ...outcome, deviceId, requestId: request.id, ...unit });

function sendOutcome(
  thrown: unknown,
  outcome: OutcomeView,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): FastifyReply {
  const error = asKeysteadError(thrown);
  if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
  if (outcome.result === 'retry') reply.header('Retry-After', String(RETRY_AFTER_SECONDS));
  // A client that goes by the status alone must come again too, whatever kind of error is behind it.
  const kind = outcome.result === 'retry' && error.kind !== 'too-many' ? 'unavailable' : error.kind;
  return reply
    .code(HTTP_STATUS[kind])
    .type('application/json')
    .send({ ...outcome, requestId: request.id, error: { ...error.toJSON(), requestId: request.id } });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const STATION_ROUTES = [
  ['GET', '/api/v1/station/', '(a station)'],
  ['POST', '/api/v1/station/sign-on {time, signOn}', '(a station; unit.provision of who signed)'],
  ['POST', '/api/v1/station/sign-off', '(a station)'],
  ['POST', '/api/v1/station/batches {ticket}', '(a station; batch.open of who is signed on)'],
  [
    'POST',
    '/api/v1/station/attestations {ticketId?, deviceId, time, ekCertificate?, ekPublic, akPublic, keyPublic, attest, signature}',
    '(a station; unit.provision of who is signed on)',
  ],
  [
    'POST',
    '/api/v1/station/units {ticketId?, deviceId, time, csr?, attestation?, way?}',
    '(a station; unit.provision of who is signed on)',
  ],
  ['GET', '/api/v1/station/units/:deviceId', '(a station)'],
] as const;
