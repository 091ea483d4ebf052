import { MAX_TSP_REQUEST_BYTES } from '@keystead/core/x509';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { newRequestId } from '../http/server.ts';
import { asKeysteadError, HTTP_STATUS } from '../http/status.ts';
import type { TspResponder } from './responder.ts';

const QUERY_TYPE = 'application/timestamp-query';
const REPLY_TYPE = 'application/timestamp-reply';

/**
 * The Time-Stamp Protocol over HTTP (RFC 3161 section 3.4): POST of a TimeStampReq to `/tsa`. Tokens are signed and public,
 * so that it is for the plain server.
 */
export function registerTsp(app: FastifyInstance, responder: TspResponder, log: Logger): void {
  app.register(async (tsp) => {
    tsp.removeAllContentTypeParsers();
    tsp.addContentTypeParser(QUERY_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    tsp.setErrorHandler((thrown, request, reply) => {
      const error = asKeysteadError(thrown);
      if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
      if (error.kind === 'too-many') reply.header('Retry-After', '1');
      return reply
        .code(HTTP_STATUS[error.kind])
        .type('text/plain; charset=utf-8')
        .send(`${error.code}: ${error.message}\nsend a TimeStampReq by POST as ${QUERY_TYPE}\n`);
    });
    tsp.post('/tsa', { bodyLimit: MAX_TSP_REQUEST_BYTES }, async (request, reply) => {
      const requestId = newRequestId();
      const body = request.body instanceof Uint8Array ? new Uint8Array(request.body) : new Uint8Array(0);
      const { der, serial, error } = await responder.answer(body, requestId);
      log.info({ requestId, serial, error: error?.toJSON() }, serial === undefined ? 'no time stamp' : 'time stamp');
      return reply.type(REPLY_TYPE).header('Cache-Control', 'no-store').send(Buffer.from(der));
    });
  });
}
