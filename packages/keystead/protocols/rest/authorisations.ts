import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

/** An authorisation as the REST interface tells of it: never its secret. */
export interface AuthorisationView {
  readonly id: string;
  readonly signer: string;
  readonly profile: string;
  readonly names: readonly string[];
  readonly uses: number;
  readonly ways: readonly string[];
  readonly approval: boolean;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly state: 'usable' | 'not yet valid' | 'expired' | 'withdrawn';
}

/** A request that waits, or waited, for an operator. */
export interface EnrolmentRequestView {
  readonly id: string;
  readonly authorisationId: string;
  readonly subject: { readonly deviceId: string } | { readonly hosts: readonly string[] };
  readonly profile: string;
  readonly way: string;
  readonly csrSha256: string;
  /** Base64 of the DER. */
  readonly csr: string;
  readonly state: string;
  readonly requestedAt: string;
  readonly decidedBy: string | null;
  readonly reason: string | null;
}

/** What these routes need of the domain. */
export interface AuthorisationDomain {
  authorise(caller: Caller, document: string, secret: string): Promise<AuthorisationView>;
  authorisations(caller: Caller, after: string): Promise<{ authorisations: AuthorisationView[]; next: string | null }>;
  withdrawAuthorisation(caller: Caller, id: string): Promise<{ withdrawn: string }>;
  enrolmentRequests(caller: Caller, state: RequestQuery['state']): Promise<{ requests: EnrolmentRequestView[] }>;
  enrolmentRequest(caller: Caller, id: string): Promise<EnrolmentRequestView>;
  approveEnrolment(caller: Caller, id: string, document: string): Promise<{ approved: string }>;
  refuseEnrolment(caller: Caller, id: string, reason: string): Promise<{ refused: string }>;
}

const document = z.string().min(1).max(20_480);
const Authorise = z.strictObject({ document, secret: z.string().min(1).max(64) });
const Approve = z.strictObject({ document });
const Refuse = z.strictObject({ reason: z.string().min(1).max(200) });
const Page = z.strictObject({ after: z.string().max(64).default('') });
const Requests = z.strictObject({ state: z.enum(['waiting', 'approved', 'refused', 'issued']).default('waiting') });
type RequestQuery = z.output<typeof Requests>;

/** How a route reads what was sent: it audits what it refuses. */
export interface Reading {
  read<T>(request: FastifyRequest, reading: () => T): Promise<T>;
  caller(request: FastifyRequest): Caller;
  parameter(request: FastifyRequest, name: string): string;
}

/** Enrolment authorisations, and the requests that wait for an operator. */
export function authorisationRoutes(api: FastifyInstance, domain: AuthorisationDomain, reading: Reading): void {
  const { read, caller, parameter } = reading;
  const idOf = (request: FastifyRequest) => read(request, () => parameter(request, 'id'));

  api.post('/authorisations', async (request) => {
    const body = await read(request, () => checkBody(Authorise, request.body));
    return domain.authorise(caller(request), body.document, body.secret);
  });
  api.get('/authorisations', async (request) => {
    const { after } = await read(request, () => checkBody(Page, request.query));
    return domain.authorisations(caller(request), after);
  });
  api.post('/authorisations/:id/withdrawal', async (request) => {
    const id = await idOf(request);
    return domain.withdrawAuthorisation(caller(request), id);
  });
  api.get('/enrolment-requests', async (request) => {
    const { state } = await read(request, () => checkBody(Requests, request.query));
    return domain.enrolmentRequests(caller(request), state);
  });
  api.get('/enrolment-requests/:id', async (request) => domain.enrolmentRequest(caller(request), await idOf(request)));
  api.post('/enrolment-requests/:id/approval', async (request) => {
    const id = await idOf(request);
    const body = await read(request, () => checkBody(Approve, request.body));
    return domain.approveEnrolment(caller(request), id, body.document);
  });
  api.post('/enrolment-requests/:id/refusal', async (request) => {
    const id = await idOf(request);
    const body = await read(request, () => checkBody(Refuse, request.body));
    return domain.refuseEnrolment(caller(request), id, body.reason);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const AUTHORISATION_ROUTES = [
  ['POST', '/api/v1/authorisations {document, secret}', 'enrolment.authorise'],
  ['GET', '/api/v1/authorisations ?after', 'enrolment.read'],
  ['POST', '/api/v1/authorisations/:id/withdrawal', 'enrolment.authorise'],
  ['GET', '/api/v1/enrolment-requests ?state', 'enrolment.read'],
  ['GET', '/api/v1/enrolment-requests/:id', 'enrolment.read'],
  ['POST', '/api/v1/enrolment-requests/:id/approval {document}', 'enrolment.authorise'],
  ['POST', '/api/v1/enrolment-requests/:id/refusal {reason}', 'enrolment.authorise'],
] as const;
