import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { certsOnly } from '@keystead/core/x509';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { newRequestId } from '../http/server.ts';
import { asKeysteadError, HTTP_STATUS } from '../http/status.ts';
import { type ScepDomain, ScepOperations } from './operation.ts';

/** A request with RSA-4096, twice wrapped, is 5 KiB. */
const BODY_LIMIT_BYTES = 32 * 1024;
/** RFC 8894 section 4.1: the second is what clients of the first hour know. */
const PATHS = ['/scep', '/cgi-bin/pkiclient.exe'];

/**
 * What is on offer (RFC 8894 section 3.5.2). DES3 and SHA-1 are not, and neither is GetNextCACert: a CA's successor is
 * taken over by other ways. SHA-384 is no keyword of the RFC and is true: strongSwan 5.9.8 takes the keywords for the
 * wrong bits, and finds SCEPStandard only where SHA-384 is named.
 */
const CAPABILITIES = 'AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-384\nSCEPStandard\n';

/**
 * SCEP (RFC 8894) for equipment that speaks nothing better, over plain HTTP: what it protects, it protects by itself.
 */
export function registerScep(app: FastifyInstance, domain: ScepDomain, log: Logger): void {
  const operations = new ScepOperations(domain);
  app.register(async (scep) => {
    scep.removeAllContentTypeParsers();
    // Clients say application/x-pki-message, or a form, or nothing.
    const any = { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES } as const;
    scep.addContentTypeParser('*', any, (_request, body, done) => done(null, body));
    scep.setErrorHandler((thrown, request, reply) => refuse(thrown, request, reply));
    for (const path of PATHS) {
      scep.get(path, { exposeHeadRoute: false }, async (request, reply) => {
        const { operation, message } = queryOf(request);
        switch (operation) {
          case 'GetCACaps':
            return reply.type('text/plain; charset=us-ascii').send(CAPABILITIES);
          case 'GetCACert': {
            const [ra] = domain.ras();
            const certificates = [ra.certificate.der, ...domain.caCertificates()];
            return reply.type('application/x-x509-ca-ra-cert').send(Buffer.from(certsOnly(certificates)));
          }
          case 'PKIOperation':
            return answer(request, reply, messageIn(message));
          default:
            throw new KeysteadError('scep.operation-unknown', { field: 'operation', seen: operation?.slice(0, 64) });
        }
      });
      scep.post(path, async (request, reply) => {
        const { operation } = queryOf(request);
        if (operation !== 'PKIOperation')
          throw new KeysteadError('scep.operation-unknown', { field: 'operation', seen: operation?.slice(0, 64) });
        return answer(request, reply, Buffer.isBuffer(request.body) ? request.body : new Uint8Array());
      });
    }
  });

  async function answer(request: FastifyRequest, reply: FastifyReply, message: Uint8Array): Promise<FastifyReply> {
    const requestId = newRequestId();
    const started = performance.now();
    const der = await operations.answer(message, requestId);
    log.info({ requestId, method: request.method, ms: performance.now() - started }, 'SCEP message');
    return reply.type('application/x-pki-message').header('Cache-Control', 'no-store').send(Buffer.from(der));
  }

  /** What has no answer in SCEP's own form gets one of HTTP, for a person to read. */
  function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = asKeysteadError(thrown);
    if (error.code === 'internal.unexpected') log.error({ err: thrown, method: request.method }, 'unexpected failure');
    if (error.kind === 'unavailable') reply.header('Retry-After', '1');
    return reply
      .code(HTTP_STATUS[error.kind])
      .type('text/plain; charset=utf-8')
      .send(`${error.code}: ${error.message}\n`);
  }
}

function queryOf({ query }: FastifyRequest): { operation: string | undefined; message: string | undefined } {
  const text = (name: string): string | undefined => {
    const value: unknown = typeof query === 'object' && query !== null ? Reflect.get(query, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  return { operation: text('operation'), message: text('message') };
}

/** Base64 (RFC 8894 section 4.1). A client that did not escape its `+` has sent blanks. */
function messageIn(text: string | undefined): Uint8Array {
  try {
    return fromBase64((text ?? '').replaceAll(' ', '+'));
  } catch (cause) {
    throw new KeysteadError('request.malformed', { field: 'message', seen: 'not base64', cause });
  }
}
