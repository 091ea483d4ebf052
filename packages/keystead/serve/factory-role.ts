import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { issuerKeyId } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { AppendAudit } from '../access/index.ts';
import type { Result } from '../keyd-client/index.ts';
import { sendError } from '../protocols/http/server.ts';
import type { Store } from '../store/index.ts';
import { dateKey } from './later-ceremonies.ts';

/** The part of keyd's `trust` that a factory node has. */
export type FactoryTrust = NonNullable<Result<'trust'>['factory']>;

/**
 * The routes of REST that a factory node has: what is done at the line, and what shows how the node stands. All others
 * are answered with where to go.
 */
const REST_HERE: ReadonlySet<string> = new Set(
  [
    '/',
    '/whoami',
    '/devices',
    '/devices/:id',
    '/certificates/:serial',
    '/records',
    '/records/:deviceId',
    '/records/:deviceId/birth-certificate',
    '/keys',
    '/keys/due',
    '/keys/:name',
    '/key-orders',
    '/tls-key',
    '/tls-key/prepared',
    '/tls-key/use',
    '/server-certificates',
    '/batches',
    '/batches/:id',
    '/attestations',
    '/chips',
    '/units',
    '/unit-keys',
    '/stations',
    '/stations/:station/sign-off',
    '/station-certificates',
    '/count',
    '/recounts',
    '/policy',
  ].map((path) => `/api/v1${path}`),
);
/** What belongs to a node alone: the rig at the line, and the reconciliation. */
const NODE_PREFIXES = ['/api/v1/station', '/api/v1/factory'];

/** Whether a route of REST is there at a factory node. */
export const isRestHere = (path: string): boolean =>
  REST_HERE.has(path.length > '/api/v1'.length + 1 ? path.replace(/\/$/, '') : '/api/v1/') ||
  NODE_PREFIXES.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));

const elsewhere = (name: string, what: string): KeysteadError =>
  new KeysteadError('factory.not-here', { field: what, seen: `asked of the factory node ${name}` });

/**
 * Refuses, before anything is read, what a factory node does not do: the routes of REST that are about the field, and EST,
 * ACME, CMP and SCEP altogether.
 */
export function refuseElsewhere(app: FastifyInstance, { name }: FactoryTrust, log: Logger): void {
  app.addHook('onRequest', async (request, reply) => {
    const path = request.routeOptions.url;
    if (path?.startsWith('/api/v1') !== true || isRestHere(path)) return;
    await sendError(elsewhere(name, `${request.method} ${path}`), request, reply, log);
  });
  for (const path of [
    '/.well-known/est/*',
    '/acme/*',
    '/.well-known/cmp',
    '/.well-known/cmp/*',
    '/pkix/*',
    '/scep/*',
  ]) {
    app.all(path, async (request, reply) =>
      sendError(elsewhere(name, `${request.method} ${path}`), request, reply, log),
    );
  }
}

const COMMISSION = 'factory.commission';

/**
 * Writes the commission by which a node works into log and inventory, once for each: since when, what it may make, and
 * until when its certificates last. REQ-KEY-AUD-01, REQ-KEY-PROV-01
 */
export async function recordCommission(
  store: Store,
  audit: AppendAudit,
  issuers: Result<'trust'>['issuers'],
  factory: NonNullable<Result<'status'>['factory']>,
  keys: Result<'keys'>,
): Promise<void> {
  const { name, commission, closed, deviceIdPrefixes, ends } = factory;
  await store.commit((tx) => {
    if (tx.meta(COMMISSION) === String(commission)) return;
    audit(tx, {
      type: 'factory.commissioned',
      actor: { kind: 'system', id: 'serve' },
      requestId: `commission-${commission}`,
      outcome: 'done',
      subject: { factory: name, commission },
      detail: {
        closed,
        deviceIdPrefixes: deviceIdPrefixes.join(' '),
        manufacturingEnds: ends.manufacturing.toISOString(),
        serverEnds: ends.server.toISOString(),
      },
    });
    for (const { id, certificate } of issuers) {
      const key = keys.keys.find((one) => one.id === issuerKeyId(id));
      dateKey(tx, key, certificate);
    }
    tx.setMeta(COMMISSION, String(commission));
  });
}

/** Where the CRLs of headquarters are: the addresses in the certificates that its CAs issued, and that of the policy. */
export function crlAddresses(
  { above }: FactoryTrust,
  own: { readonly manufacturing: DerCertificate; readonly server: DerCertificate },
  operators: string | undefined,
): string[] {
  const at = [above.manufacturing, own.manufacturing, own.server].flatMap((der) => readCertificate(der).crlUrls);
  return [...new Set([...at, ...(operators === undefined ? [] : [operators])])];
}
