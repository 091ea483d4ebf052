import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { BODY_LIMIT_BYTES, newRequestId } from '../http/server.ts';
import { asKeysteadError, HTTP_STATUS } from '../http/status.ts';
import { type CmpOperation, isCmpOperation } from './operations.ts';
import type { CmpResponder } from './responder.ts';

const CMP_TYPE = 'application/pkixcmp';

/** Where CMP is reached: the well-known address (RFC 9811 section 3.6), and the one that older clients have. */
const PREFIXES = ['/.well-known/cmp', '/pkix'] as const;

interface Address {
  readonly profile?: string;
  readonly operation?: string;
}

/**
 * CMP over HTTP (RFC 9811): POST of one DER message, one DER message back. Messages protect themselves, so this is for
 * the plain server as well as for TLS. An address may name an operation, and a profile before it: `/p/<name>/<operation>`.
 */
export function registerCmp(app: FastifyInstance, responder: CmpResponder, log: Logger): void {
  for (const prefix of PREFIXES) app.register(async (cmp) => mount(cmp, responder, log), { prefix });
}

function mount(cmp: FastifyInstance, responder: CmpResponder, log: Logger): void {
  cmp.removeAllContentTypeParsers();
  cmp.addContentTypeParser(CMP_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  cmp.setErrorHandler((thrown, request, reply) => {
    const error = asKeysteadError(thrown);
    if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
    return reply
      .code(HTTP_STATUS[error.kind])
      .type('text/plain; charset=utf-8')
      .send(`${error.code}: ${error.message}\nsend a PKIMessage by POST as ${CMP_TYPE}\n`);
  });
  const answer = (request: FastifyRequest, reply: FastifyReply) => send(responder, request, reply);
  for (const path of ['/', '/:operation', '/p/:profile', '/p/:profile/:operation']) {
    cmp.post(path, { bodyLimit: BODY_LIMIT_BYTES }, answer);
  }
}

async function send(responder: CmpResponder, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { profile, operation } = request.params as Address;
  if (operation !== undefined && !isCmpOperation(operation)) {
    return reply
      .code(404)
      .type('text/plain; charset=utf-8')
      .send(`there is no operation ${JSON.stringify(operation.slice(0, 64))}\n`);
  }
  // The plain server counts its requests; an id that an audit entry carries is random.
  const requestId = /^[0-9a-f]{16}$/.test(request.id) ? request.id : newRequestId();
  const message = request.body instanceof Uint8Array ? new Uint8Array(request.body) : new Uint8Array(0);
  const { status, body } = await responder.answer({
    message,
    operation: operation as CmpOperation | undefined,
    profile,
    requestId,
  });
  if (status === 503) reply.header('Retry-After', '1');
  return reply
    .code(status)
    .type(CMP_TYPE)
    .header('Cache-Control', 'no-cache')
    .header('X-Request-Id', requestId)
    .send(Buffer.from(body));
}
