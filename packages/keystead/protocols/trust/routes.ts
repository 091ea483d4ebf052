import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { etagOf, namesEtag } from '../http/etag.ts';

/** What is published, as this room sees it. */
export interface TrustPublication {
  /** Null before the first bundle. */
  index(): { readonly fleet: string; readonly latest: number; readonly signerChanges: readonly number[] } | null;
  bundle(version: number, form: 'cose' | 'jws'): Promise<Uint8Array | undefined>;
  /** @param sha256 hex. */
  filter(sha256: string): Promise<Uint8Array | undefined>;
}

const COSE = 'application/vnd.keystead.trust-bundle+cose';
/** So long a cache may answer for what changes, seconds. */
const FRESH = 'public, max-age=60';
const FOREVER = 'public, max-age=31536000, immutable';

/**
 * Trust bundles and revocation filters over plain HTTP: each bundle is signed, and each filter is named by its hash in one,
 * so that any cache can stand in between. docs/trust-bundle.md has the addresses. REQ-KEY-REV-04
 */
export function registerTrust(app: FastifyInstance, published: TrustPublication): void {
  const latest = (form: 'cose' | 'jws', type: string) => async (request: FastifyRequest, reply: FastifyReply) => {
    const version = published.index()?.latest;
    const bytes = version === undefined ? undefined : await published.bundle(version, form);
    return send(request, reply, bytes, type, FRESH);
  };
  app.get('/trust/latest', latest('cose', COSE));
  app.get('/trust/latest.jws', latest('jws', 'application/jose+json'));
  app.get('/trust/index.json', async (request, reply) => {
    const index = published.index();
    const bytes = index === null ? undefined : Buffer.from(`${JSON.stringify(index)}\n`, 'utf8');
    return send(request, reply, bytes, 'application/json', FRESH);
  });
  app.get<{ Params: { version: string } }>('/trust/bundles/:version', async (request, reply) => {
    const { version } = request.params;
    // Of what keyd signed and is not yet on record nobody is told.
    const known = /^[1-9][0-9]{0,9}$/.test(version) && Number(version) <= (published.index()?.latest ?? 0);
    const bytes = known ? await published.bundle(Number(version), 'cose') : undefined;
    return send(request, reply, bytes, COSE, FOREVER);
  });
  app.get<{ Params: { sha256: string } }>('/trust/filters/:sha256', async (request, reply) => {
    const { sha256 } = request.params;
    const bytes = /^[0-9a-f]{64}$/.test(sha256) ? await published.filter(sha256) : undefined;
    return send(request, reply, bytes, 'application/octet-stream', FOREVER);
  });
}

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  bytes: Uint8Array | undefined,
  type: string,
  caching: string,
): FastifyReply {
  reply.header('X-Content-Type-Options', 'nosniff');
  if (bytes === undefined) {
    const { message } = new KeysteadError('trust-bundle.none', { field: request.url });
    return reply.code(404).header('Cache-Control', 'no-store').type('text/plain').send(`${message}\n`);
  }
  const etag = etagOf(bytes);
  reply.header('ETag', etag).header('Cache-Control', caching);
  if (namesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send();
  return reply.type(type).send(Buffer.from(bytes));
}
