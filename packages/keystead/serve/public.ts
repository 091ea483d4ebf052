import { createServer, type Server } from 'node:http';
import type { Clock } from '@keystead/core/clock';
import { type IssuerId, type IssuerName, isIssuerId, ROOT_CRL_PROFILE } from '@keystead/core/lifecycle';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Layout } from '../files/layout.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import { type CmpResponder, registerCmp } from '../protocols/cmp/index.ts';
import { CrlDirectory, createCrlHandler } from '../protocols/crl/index.ts';
import { boundConnections } from '../protocols/http/bounds.ts';
import { createLogHandler } from '../protocols/log/index.ts';
import { createOcspHandler, OcspResponder } from '../protocols/ocsp/index.ts';
import { registerTrust } from '../protocols/trust/index.ts';
import type { Rooms } from './rooms.ts';

export interface PublicParts {
  readonly rooms: Rooms;
  readonly keyd: KeydClient;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly log: Logger;
  /** Not at a factory node. */
  readonly cmp?: CmpResponder;
}

/** A reader of public data sends no body worth waiting for. */
const HEADERS_TIMEOUT_MS = 5_000;

/**
 * The plain HTTP side: OCSP, CRLs, CA certificates, the audit log, and CMP. All of it is signed data, which is why it
 * needs no TLS (and what fetches a CRL could not check a certificate yet). The three hot handlers come before
 * the router.
 */
export function createPublicServer({ rooms, keyd, layout, clock, log, cmp }: PublicParts): {
  server: Server;
  app: FastifyInstance;
} {
  const onFailure = (error: unknown): void => log.error({ err: error }, 'a public answer failed');
  const responder = new OcspResponder({
    cas: new Map(rooms.hierarchy.answering.map(({ id, certificate }) => [id, certificate])),
    statusOf: (issuer, serial) => rooms.authority.statusOf(online(issuer), serial),
    signer: { signOcsp: (params) => keyd.signOcsp({ ...params, issuer: online(params.issuer) }) },
  });
  const ocsp = createOcspHandler({
    responder,
    onStatusChanged: (listener) => rooms.authority.onStatusChanged(listener),
    clock,
    onFailure,
  });
  const crls = new CrlDirectory(layout.crl, clock);
  rooms.authority.onCrlPublished((issuer) => crls.published(issuer));
  rooms.rootCrl?.onPublished((list) => crls.published(list));
  const crl = createCrlHandler({ crls, clock, onFailure });
  const auditLog = createLogHandler({ dir: layout.log, onFailure });
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 10_000,
    connectionsCheckingInterval: 2_000,
  });
  boundConnections(server);
  const app = Fastify({
    serverFactory: (handler) =>
      server.on('request', (request, response) => {
        if (ocsp.handle(request, response) || crl.handle(request, response) || auditLog.handle(request, response))
          return;
        handler(request, response);
      }),
    exposeHeadRoutes: true,
    logger: false,
  });
  const { crlSigner } = rooms.hierarchy;
  const addressed = crlSigner === undefined ? [] : [{ id: ROOT_CRL_PROFILE, certificate: crlSigner }];
  for (const { id, certificate } of [...rooms.hierarchy.all, ...addressed]) {
    app.get(`/ca/${id}.cer`, (_request, reply) =>
      reply
        .type('application/pkix-cert')
        .header('Cache-Control', 'public, max-age=86400')
        .send(Buffer.from(certificate)),
    );
  }
  // More factories come while this runs.
  app.get<{ Params: { name: string } }>('/ca/factory.:name.cer', (request, reply) => {
    const ca = rooms.factories.cas.find(({ id }) => id === `factory.${request.params.name}`);
    if (ca === undefined) return reply.code(404).send();
    return reply
      .type('application/pkix-cert')
      .header('Cache-Control', 'public, max-age=3600')
      .send(Buffer.from(ca.certificate));
  });
  const { bundles } = rooms;
  registerTrust(app, {
    index: () => bundles.index(),
    bundle: (version, form) => bundles.files.bundle(version, form),
    filter: (sha256) => bundles.files.filter(sha256),
  });
  if (cmp !== undefined) registerCmp(app, cmp, log);
  app.get('/healthz', () => ({ ok: true }));
  app.addHook('onClose', async () => ocsp.close());
  return { server, app };
}

function online(issuer: IssuerName): IssuerId {
  if (isIssuerId(issuer)) return issuer;
  throw new RangeError(`${issuer} is not an online CA`);
}
