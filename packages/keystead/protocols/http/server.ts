import { constants } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { boundConnections } from './bounds.ts';
import { onClientError } from './long-body.ts';
import { asKeysteadError, HTTP_STATUS } from './status.ts';

/** EST and REST bodies are small: a CSR with an RSA-4096 key is under 2 KiB, a batch ticket under 1 KiB. */
export const BODY_LIMIT_BYTES = 64 * 1024;
/** A path that is longer is a stranger's, who could fill the disk with 16 KiB for each request. */
const MOST_LOGGED_OF_A_PATH = 200;
/** A client that is slower than this to finish its TLS handshake is cut off. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A client that is slower than this to send its headers or its body is cut off. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 20_000;

export interface TlsIdentity {
  /** PEM: the private key, held in memory only. */
  readonly key: string;
  /** PEM: the certificate and the intermediates up to the anchor. */
  readonly cert: string;
  /** PEM: the CAs whose names are sent to clients, so that they choose the right certificate. */
  readonly clientCas: readonly string[];
}

/**
 * The mutual-TLS server. The handshake asks for a client certificate and takes any: whether it is good is
 * decided per request, so that an expired, foreign or revoked one gets an answer that says so, and an
 * audit entry, where the handshake could only have hung up.
 */
export function createHttpsServer(identity: TlsIdentity, log: Logger): { app: FastifyInstance; server: Server } {
  const server = createServer({
    ...contextOf(identity),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: 2_000,
    maxHeaderSize: 16 * 1024,
  });
  boundConnections(server);
  server.on('tlsClientError', (error) => log.debug({ error: error.message }, 'TLS handshake failed'));
  const app = Fastify({
    serverFactory: (handler) => server.on('request', handler),
    bodyLimit: BODY_LIMIT_BYTES,
    genReqId: () => newRequestId(),
    exposeHeadRoutes: false,
    logger: false,
    clientErrorHandler: onClientError,
  });
  // Only JSON and what a protocol adds: everything else is a wrong content type.
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((thrown, request, reply) => sendError(thrown, request, reply, log));
  app.addHook('onResponse', async (request, reply) => {
    log.info(
      {
        requestId: request.id,
        method: request.method,
        url: request.url.slice(0, MOST_LOGGED_OF_A_PATH),
        status: reply.statusCode,
        ms: reply.elapsedTime,
      },
      'request',
    );
  });
  app.addHook('onSend', async (request, reply) => {
    reply.header('X-Request-Id', request.id).header('Cache-Control', 'no-store');
  });
  return { app, server };
}

/** Connections from now on get this identity; those that are open keep theirs. */
export const replaceIdentity = (server: Server, identity: TlsIdentity): void =>
  server.setSecureContext(contextOf(identity));

function contextOf(identity: TlsIdentity): SecureContextOptions {
  return {
    key: identity.key,
    cert: identity.cert,
    ca: [...identity.clientCas],
    minVersion: 'TLSv1.2',
    honorCipherOrder: true,
    // Each connection proves its key anew: a resumed session would take the certificate of an earlier one for proven.
    // Without tickets TLS 1.3 and 1.2 could only resume from a cache, and this server keeps none.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** A request id: 16 hex digits; it stands in every log line, audit entry and answer that the request causes. */
export const newRequestId = (): string => toHex(randomBytes(8));

/** The certificate that the client proved in the handshake, DER, or undefined when it showed none. */
export function clientCertificate(request: FastifyRequest): Uint8Array | undefined {
  const raw = (request.raw.socket as TLSSocket).getPeerX509Certificate?.()?.raw;
  return raw === undefined ? undefined : new Uint8Array(raw);
}

/**
 * Sends a failure as JSON: `{error: {code, message, field, seen, remedy, requestId}}`. What nobody expected
 * is logged with its stack and told to the client only as a request id.
 */
export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  const error = asKeysteadError(thrown);
  const status = HTTP_STATUS[error.kind];
  if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
  if (status === 503) reply.header('Retry-After', '1');
  return reply
    .code(status)
    .type('application/json')
    .send({ error: { ...error.toJSON(), requestId: request.id } });
}
