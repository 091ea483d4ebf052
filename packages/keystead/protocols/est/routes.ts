import { type DerCertificate, fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { certsOnly } from '@keystead/core/x509';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { clientCertificate } from '../http/server.ts';
import { asKeysteadError, HTTP_STATUS } from '../http/status.ts';
import { csrAttributes } from './csrattrs.ts';

/** What EST needs of the domain. `client` is the certificate proven in the TLS handshake, DER. */
export interface EstDomain {
  /**
   * The trust anchor in use and the CA certificates that a device needs, anchor first; while an old root counts, with the
   * three certificates of the change of its key (RFC 7030 section 4.1.3).
   */
  caCertificates(): DerCertificate[];
  /** A first certificate for the authenticated device, or the recovery of a late one. Durable when it resolves. */
  enrol(client: Uint8Array | undefined, csr: Uint8Array, requestId: string): Promise<DerCertificate>;
  /**
   * A renewal with a fresh key by a device that shows its current certificate, or the recovery of a late one that
   * shows its IDevID. Durable when it resolves.
   */
  reenrol(client: Uint8Array | undefined, csr: Uint8Array, requestId: string): Promise<DerCertificate>;
  /** A body that never became a CSR: audited where it matters. */
  refused(client: Uint8Array | undefined, error: KeysteadError, requestId: string): Promise<void>;
}

const CSR_TYPE = 'application/pkcs10';
const CERTS_TYPE = 'application/pkcs7-mime; smime-type=certs-only';

/**
 * Enrolment over Secure Transport (RFC 7030, with the base64 rules of RFC 8951): cacerts, simpleenroll,
 * simplereenroll, csrattrs. The device is authenticated by its certificate in the TLS handshake
 * (section 3.3.2); there is no password way in.
 */
export function registerEst(app: FastifyInstance, domain: EstDomain, log: Logger): void {
  app.register(
    async (est) => {
      est.removeAllContentTypeParsers();
      est.addContentTypeParser(CSR_TYPE, { parseAs: 'string' }, (_request, body, done) => done(null, body));
      est.setErrorHandler((thrown, request, reply) => refuse(thrown, request, reply));

      est.get('/cacerts', (_request, reply) => sendCerts(reply, domain.caCertificates(), 'application/pkcs7-mime'));
      est.get('/csrattrs', (_request, reply) =>
        reply
          .type('application/csrattrs')
          .header('Content-Transfer-Encoding', 'base64')
          .send(toBase64(csrAttributes())),
      );
      est.post('/simpleenroll', async (request, reply) => {
        const certificate = await domain.enrol(clientCertificate(request), csrOf(request), request.id);
        return sendCerts(reply, [certificate]);
      });
      est.post('/simplereenroll', async (request, reply) => {
        const certificate = await domain.reenrol(clientCertificate(request), csrOf(request), request.id);
        return sendCerts(reply, [certificate]);
      });
    },
    { prefix: '/.well-known/est' },
  );

  /** A refusal of EST is plain text for a person to read (RFC 7030 section 4.2.3): code, rule, what to do. */
  async function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const error = asKeysteadError(thrown);
    if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
    if (error.code.startsWith('request.')) await domain.refused(clientCertificate(request), error, request.id);
    if (error.kind === 'unavailable') reply.header('Retry-After', '1');
    const remedy = error.remedy === undefined ? '' : `what to do: ${error.remedy}\n`;
    return reply
      .code(HTTP_STATUS[error.kind])
      .type('text/plain; charset=utf-8')
      .send(`${error.code}: ${error.message}\n${remedy}request: ${request.id}\n`);
  }
}

/** The CSR in the body: base64 of DER (RFC 8951 section 3.1), or PEM, which openssl writes unless told otherwise. */
function csrOf(request: FastifyRequest): Uint8Array {
  if (typeof request.body !== 'string') {
    throw new KeysteadError('request.content-type', { field: 'Content-Type', remedy: `send ${CSR_TYPE}` });
  }
  const body = request.body.replace(/-----(BEGIN|END) (NEW )?CERTIFICATE REQUEST-----/g, '');
  try {
    return fromBase64(body);
  } catch (cause) {
    throw new KeysteadError('request.malformed', {
      field: 'body',
      seen: 'not base64',
      remedy: 'send the DER of the request, base64',
      cause,
    });
  }
}

/**
 * Base64 without line breaks: RFC 4648 section 3.1 wants none, and strongSwan's EST client reads none.
 */
function sendCerts(reply: FastifyReply, certificates: DerCertificate[], type = CERTS_TYPE): FastifyReply {
  return reply
    .type(type)
    .header('Content-Transfer-Encoding', 'base64')
    .send(toBase64(certsOnly(certificates)));
}
