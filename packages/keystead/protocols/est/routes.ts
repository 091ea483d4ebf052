import type { TLSSocket } from 'node:tls';
import { type DerCertificate, fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { certsOnly } from '@keystead/core/x509';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { clientCertificate } from '../http/server.ts';
import { asKeysteadError, HTTP_STATUS } from '../http/status.ts';
import { channelBinding } from './channel-binding.ts';
import { BASIC_CHALLENGE, type BasicCredentials, basicCredentials } from './credentials.ts';
import { multipart } from './multipart.ts';

/** Who asks, and by which label. */
export interface EstCaller {
  /** The id of a profile, from the path; undefined without one. */
  readonly label: string | undefined;
  /** The certificate proven in the TLS handshake, DER. */
  readonly certificate: Uint8Array | undefined;
  readonly requestId: string;
}

export interface EstRequest extends EstCaller {
  /** An enrolment authorisation that the client names; its secret is not yet verified. */
  readonly basic: BasicCredentials | undefined;
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
  /** What a challengePassword in the request must be, base64. */
  binding(): string | undefined;
}

export interface EstIssued {
  readonly certificate: DerCertificate;
}

/** A request that waits for an operator: ask again with the same one. */
export interface EstPending {
  readonly pending: string;
  readonly retryAfterSeconds: number;
}

/** What EST needs of the domain. Each throws KeysteadError, also `est.label-unknown`. */
export interface EstDomain {
  /**
   * The trust anchor in use and the CA certificates that a client needs, anchor first; while an old root counts, with the
   * three certificates of the change of its key (RFC 7030 section 4.1.3).
   */
  caCertificates(label: string | undefined): DerCertificate[];
  /** DER of CsrAttrs. */
  csrAttributes(caller: EstCaller): Promise<Uint8Array>;
  /** A first certificate for who is authenticated, or the recovery of a late device. Durable when it resolves. */
  enrol(request: EstRequest): Promise<EstIssued | EstPending>;
  /**
   * A renewal with a fresh key by a device that shows its current certificate, or the recovery of a late one that
   * shows its IDevID. Durable when it resolves.
   */
  reenrol(request: EstRequest): Promise<EstIssued | EstPending>;
  /** A key that keyd makes, wrapped to the device (CMS, DER), with its certificate. Durable when it resolves. */
  serverKey(request: EstRequest): Promise<EstIssued & { readonly envelope: Uint8Array }>;
  /** What never became a request to the domain: audited where it matters. */
  refused(certificate: Uint8Array | undefined, error: KeysteadError, requestId: string): Promise<void>;
}

const CSR_TYPE = 'application/pkcs10';
const CERTS_TYPE = 'application/pkcs7-mime; smime-type=certs-only';
/** RFC 7030 section 4.4.2: a key that is encrypted besides TLS. */
const KEY_TYPE = 'application/pkcs7-mime; smime-type=server-generated-key';

/**
 * Enrolment over Secure Transport (RFC 7030, with the base64 rules of RFC 8951): cacerts, simpleenroll, simplereenroll,
 * serverkeygen, csrattrs, each also under a label. A client is authenticated by its certificate in the TLS handshake
 * (section 3.3.2), or by an enrolment authorisation (HTTP Basic, section 3.2.3).
 */
export function registerEst(app: FastifyInstance, domain: EstDomain, log: Logger): void {
  app.register(
    async (est) => {
      est.removeAllContentTypeParsers();
      est.addContentTypeParser(CSR_TYPE, { parseAs: 'string' }, (_request, body, done) => done(null, body));
      est.setErrorHandler((thrown, request, reply) => refuse(thrown, request, reply));
      for (const prefix of ['', '/:label']) {
        est.get(`${prefix}/cacerts`, (request, reply) =>
          sendCerts(reply, domain.caCertificates(labelOf(request)), 'application/pkcs7-mime'),
        );
        est.get(`${prefix}/csrattrs`, async (request, reply) =>
          reply
            .type('application/csrattrs')
            .header('Content-Transfer-Encoding', 'base64')
            .send(toBase64(await domain.csrAttributes(callerOf(request)))),
        );
        est.post(`${prefix}/simpleenroll`, async (request, reply) => answer(reply, await domain.enrol(asked(request))));
        est.post(`${prefix}/simplereenroll`, async (request, reply) =>
          answer(reply, await domain.reenrol(asked(request))),
        );
        est.post(`${prefix}/serverkeygen`, async (request, reply) => {
          const { certificate, envelope } = await domain.serverKey(asked(request));
          const { type, body } = multipart([
            { type: KEY_TYPE, content: envelope },
            { type: CERTS_TYPE, content: certsOnly([certificate]) },
          ]);
          return reply.type(type).send(body);
        });
        // Before the body is looked at, whose type would be the first thing that is wrong.
        const refuseCmc = async (): Promise<never> => {
          throw new KeysteadError('est.fullcmc', { field: 'path', seen: 'fullcmc' });
        };
        est.all(`${prefix}/fullcmc`, { onRequest: refuseCmc }, refuseCmc);
      }
    },
    { prefix: '/.well-known/est' },
  );

  /** A refusal of EST is plain text for a person to read (RFC 7030 section 4.2.3): code, rule, what to do. */
  async function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const error = asKeysteadError(thrown);
    if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
    if (error.code.startsWith('request.') || error.code === 'est.authorization-malformed')
      await domain.refused(clientCertificate(request), error, request.id);
    if (error.kind === 'unavailable') reply.header('Retry-After', '1');
    if (error.kind === 'unauthenticated') reply.header('WWW-Authenticate', BASIC_CHALLENGE);
    const remedy = error.remedy === undefined ? '' : `what to do: ${error.remedy}\n`;
    return reply
      .code(HTTP_STATUS[error.kind])
      .type('text/plain; charset=utf-8')
      .send(`${error.code}: ${error.message}\n${remedy}request: ${request.id}\n`);
  }
}

function labelOf({ params }: FastifyRequest): string | undefined {
  const label = typeof params === 'object' && params !== null && 'label' in params ? params.label : undefined;
  return label === undefined ? undefined : String(label);
}

const callerOf = (request: FastifyRequest): EstCaller => ({
  label: labelOf(request),
  certificate: clientCertificate(request),
  requestId: request.id,
});

const asked = (request: FastifyRequest): EstRequest => ({
  ...callerOf(request),
  basic: basicCredentials(request.headers.authorization),
  csr: csrOf(request),
  binding: () => channelBinding(request.raw.socket as TLSSocket),
});

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

/** The certificate, or that an operator has yet to decide (RFC 7030 section 4.2.3). */
function answer(reply: FastifyReply, outcome: EstIssued | EstPending): FastifyReply {
  if ('certificate' in outcome) return sendCerts(reply, [outcome.certificate]);
  return reply
    .code(202)
    .header('Retry-After', String(outcome.retryAfterSeconds))
    .type('text/plain; charset=utf-8')
    .send(`an operator has yet to approve request ${outcome.pending}: send the same request again\n`);
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
