import { checkParcel, MOST_PARCEL_BYTES, MOST_TICKETS_KNOWN, type Parcel } from '@keystead/core/lifecycle';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

/** What headquarters answers to a parcel. */
export interface ExchangeView {
  readonly factory: string;
  readonly number: number;
  /** The file of the receipt. */
  readonly receipt: string;
  readonly repeated: boolean;
  /** Numbers of this factory that have not come. */
  readonly missing: readonly number[];
  readonly taken: number;
  readonly void: number;
  readonly quarantined: number;
}

/** What waits at headquarters for a factory node. Each thing is signed by whom the node believes. */
export interface NewsView {
  readonly factory: string;
  /** The policy after that of the node: the text of its file, and of its approvals. */
  readonly policy: { readonly policy: string; readonly approvals: string } | null;
  /** Newer CRLs of headquarters, DER, base64. */
  readonly crls: readonly string[];
  /** The files of tickets that name the node and are in force. */
  readonly tickets: readonly string[];
  /** The file of a later commission. */
  readonly commission: string | null;
  /** Whether it is worth asking again when these are taken. */
  readonly more: boolean;
}

/** How far a node's outbox is. */
export interface OutboxView {
  readonly made: number;
  readonly settled: number;
  readonly waiting: number;
  readonly units: number;
  readonly waitingUnits: number;
  readonly waitingSince: string | null;
  readonly settledAt: string | null;
  readonly refusal: {
    readonly number: number;
    readonly code: string;
    readonly message: string;
    readonly at: string;
  } | null;
}

/** What these routes need of the domain. */
export interface ReconciliationDomain {
  /**
   * Whether the body of a parcel is read from this address. @returns what ends it, with whether the parcel was refused for
   * what it is. @throws KeysteadError `consignment.busy`.
   */
  admitParcel(from: string): (refused: boolean) => void;
  /** The same before a hello is read. */
  admitHello(from: string): (refused: boolean) => void;
  /** By the consignment's own signature; nobody is asked who brings it. */
  takeParcel(parcel: Parcel, factory: string, requestId: string): Promise<ExchangeView>;
  /** By the hello of the node's keyd; nobody else is told. */
  factoryNews(factory: string, asked: { hello: string; have: readonly string[] }): Promise<NewsView>;
  reconciliation(caller: Caller): Promise<unknown>;
  resolveConflict(caller: Caller, resolution: string): Promise<unknown>;
  /** At a node: the parcels that wait, from the one after `after` on. */
  outbox(caller: Caller, after: number): Promise<{ parcels: string[]; next: number | null; progress: OutboxView }>;
  settle(caller: Caller, receipts: readonly string[]): Promise<{ settled: number; known: number }>;
}

/** A hello with the most tickets that a node may name. */
const MOST_HELLO_BYTES = 128 * 1024;

const Resolution = z.strictObject({ resolution: z.string().min(1).max(20_480) });
const News = z.strictObject({
  hello: z.string().min(1).max(4096),
  /** Ids of tickets that the node has, or does not take. */
  have: z.array(z.string().min(1).max(64)).max(MOST_TICKETS_KNOWN),
});
const After = z.strictObject({ after: z.coerce.number().int().min(0).default(0) });
const Factory = z.strictObject({ name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, '1 to 32 of a-z 0-9 -') });
const Receipts = z.strictObject({
  receipts: z
    .array(
      z
        .string()
        .min(1)
        .max(1024 * 1024),
    )
    .min(1)
    .max(64),
});

/** Consignments of factory nodes, their receipts, and what reconciliation leaves to people. */
export function reconciliationRoutes(
  api: FastifyInstance,
  domain: ReconciliationDomain,
  { read, caller }: Reading,
): void {
  const bounded = (bodyLimit: number, admit: ReconciliationDomain['admitParcel']) => ({
    bodyLimit,
    // Before the body: what a stranger sends is held in memory from then on, and costs time to read.
    onRequest: async (request: FastifyRequest, reply: FastifyReply) => {
      const leave = admit(request.ip);
      reply.raw.once('close', () => leave(isRefusal(reply.raw.statusCode)));
    },
  });
  api.post('/factories/:name/consignments', bounded(MOST_PARCEL_BYTES, domain.admitParcel), async (request) => {
    // What a stranger sends is not worth an entry in the log: the domain bounds how often anybody is listened to.
    const { name } = checkBody(Factory, request.params);
    return domain.takeParcel(checkParcel(request.body), name, request.id);
  });
  api.post('/factories/:name/news', bounded(MOST_HELLO_BYTES, domain.admitHello), async (request) => {
    const { name } = checkBody(Factory, request.params);
    return domain.factoryNews(name, checkBody(News, request.body));
  });
  api.get('/reconciliation', (request) => domain.reconciliation(caller(request)));
  api.post('/reconciliation/resolutions', async (request) => {
    const { resolution } = await read(request, () => checkBody(Resolution, request.body));
    return domain.resolveConflict(caller(request), resolution);
  });
  api.get('/factory/outbox', async (request) => {
    const { after } = await read(request, () => checkBody(After, request.query));
    return domain.outbox(caller(request), after);
  });
  api.post('/factory/receipts', { bodyLimit: MOST_PARCEL_BYTES }, async (request) => {
    const { receipts } = await read(request, () => checkBody(Receipts, request.body));
    return domain.settle(caller(request), receipts);
  });
}

/** Whether an answer says that the parcel itself is wrong, and not that it came at a bad time. */
const isRefusal = (status: number): boolean => status >= 400 && status < 500 && status !== 429;

/** As `GET /api/v1` tells of them: method, path, permission. */
export const RECONCILIATION_ROUTES = [
  ['POST', '/api/v1/factories/:name/consignments {v, consignment, tickets, contents}', "(the factory's signature)"],
  ['POST', '/api/v1/factories/:name/news {hello, have}', "(the factory's signature)"],
  ['GET', '/api/v1/reconciliation', 'factory.read'],
  ['POST', '/api/v1/reconciliation/resolutions {resolution}', 'factory.sign'],
  ['GET', '/api/v1/factory/outbox ?after', 'factory.exchange'],
  ['POST', '/api/v1/factory/receipts {receipts}', 'factory.exchange'],
] as const;
