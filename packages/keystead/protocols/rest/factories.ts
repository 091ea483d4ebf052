import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, '1 to 32 of a-z 0-9 -');

const Order = z.strictObject({
  /** The file of the node's request, base64. */
  request: z
    .string()
    .min(1)
    .max(384 * 1024),
  statements: z.array(z.string().min(1).max(20_480)).min(1).max(17),
});
const Name = z.strictObject({ name });
const Numbered = z.strictObject({ number: z.coerce.number().int().min(1).max(9999).optional() });

/** A factory node as people see it. */
export interface FactoryView {
  readonly factory: string;
  readonly state: 'commissioned' | 'closed' | 'closed, revoked';
  readonly deviceIdPrefixes: readonly string[];
  readonly custody: string;
  readonly counter: string;
  /** Units that it has told headquarters of. */
  readonly units: number;
  /** When the first of its sub-CAs ends. */
  readonly notAfter: string;
  readonly acts: readonly {
    readonly number: number;
    readonly act: string;
    readonly at: string;
    readonly by: string;
    readonly approvers: readonly string[];
    readonly order: string;
    readonly commissionSha256: string;
  }[];
}

/** What these routes need of the domain. */
export interface FactoryDomain {
  factories(caller: Caller): Promise<{ factories: FactoryView[] }>;
  factory(caller: Caller, name: string): Promise<FactoryView>;
  /** The file of a commission; the last one without a number. */
  factoryCommission(caller: Caller, name: string, number?: number): Promise<{ commission: string }>;
  /** Has keyd carry out what a quorum has ordered. */
  orderFactory(
    caller: Caller,
    order: { readonly request: Uint8Array; readonly statements: readonly string[] },
  ): Promise<FactoryView & { number: number; commission: string }>;
}

/** Factory nodes at headquarters: their orders and what came of them. */
export function factoryRoutes(api: FastifyInstance, domain: FactoryDomain, { read, caller }: Reading): void {
  api.get('/factories', (request) => domain.factories(caller(request)));
  api.post('/factories', { bodyLimit: 1024 * 1024 }, async (request) => {
    const order = await read(request, () => withBytes(checkBody(Order, request.body)));
    return domain.orderFactory(caller(request), order);
  });
  api.get('/factories/:name', async (request) => {
    const one = await read(request, () => checkBody(Name, request.params));
    return domain.factory(caller(request), one.name);
  });
  api.get('/factories/:name/commission', async (request) => {
    const one = await read(request, () => checkBody(Name, request.params));
    const { number } = await read(request, () => checkBody(Numbered, request.query));
    return domain.factoryCommission(caller(request), one.name, number);
  });
}

function withBytes({ request, statements }: z.output<typeof Order>) {
  try {
    return { request: fromBase64(request), statements };
  } catch (cause) {
    throw new KeysteadError('request.malformed', { field: 'request', seen: 'something that is not base64', cause });
  }
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const FACTORY_ROUTES = [
  ['GET', '/api/v1/factories', 'factory.read'],
  ['POST', '/api/v1/factories {request, statements}', 'factory.propose'],
  ['GET', '/api/v1/factories/:name', 'factory.read'],
  ['GET', '/api/v1/factories/:name/commission ?number', 'factory.read'],
] as const;
