import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const uint32 = z.int().min(0).max(0xffff_ffff);
const word = z.string().regex(/^[\x21-\x7e]{1,64}$/, 'must be 1 to 64 printable characters');

const PublishBundle = z.strictObject({
  /** As the operators' own keys signed them, the proposal first; none for the same content with a new filter. */
  statements: z.array(z.string().min(1).max(65_536)).max(17),
});

const ReportUptake = z.strictObject({
  bundle: z.strictObject({ version: uint32, sha256: hash }).nullable(),
  filter: hash.nullable(),
  firmware: z.strictObject({ product: word, version: word, securityCounter: uint32.nullable() }).nullable(),
});
export type UptakeBody = z.output<typeof ReportUptake>;

/** An order with the certificates of 16 anchors, signed by many. */
const ORDER_LIMIT_BYTES = 1024 * 1024;

/** What these routes need of the domain. */
export interface TrustDomain {
  trustStatus(caller: Caller): Promise<unknown>;
  publishTrustBundle(caller: Caller, statements: string[]): Promise<unknown>;
  /** Of a device, by its certificate. Durable when it resolves. */
  reportUptake(caller: Caller, report: UptakeBody): Promise<void>;
}

/** Trust bundles, for operators, and what devices report of them. */
export function trustRoutes(api: FastifyInstance, domain: TrustDomain, { read, caller }: Reading): void {
  api.get('/trust', (request) => domain.trustStatus(caller(request)));
  api.post('/trust/bundles', { bodyLimit: ORDER_LIMIT_BYTES }, async (request) => {
    const { statements } = await read(request, () => checkBody(PublishBundle, request.body));
    return domain.publishTrustBundle(caller(request), statements);
  });
  api.post('/device/uptake', async (request, reply) => {
    const report = await read(request, () => checkBody(ReportUptake, request.body));
    await domain.reportUptake(caller(request), report);
    return reply.code(204).send();
  });
}

export const TRUST_ROUTES = [
  ['GET', '/api/v1/trust', 'trust.read'],
  ['POST', '/api/v1/trust/bundles {statements}', 'trust.publish, and the quorum of the order'],
  ['POST', '/api/v1/device/uptake {bundle, filter, firmware}', '(the certificate of a device)'],
] as const;
