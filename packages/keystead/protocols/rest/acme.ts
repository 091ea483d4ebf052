import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

/** An account of ACME as operators see it. */
export interface AcmeAccountView {
  readonly id: string;
  readonly state: string;
  readonly authorisationId: string;
  /** RFC 7638, base64url. */
  readonly thumbprint: string;
  readonly contact: readonly string[];
  readonly createdAt: string;
}

export interface AcmeOrderView {
  readonly id: string;
  readonly accountId: string;
  readonly state: string;
  readonly names: readonly string[];
  readonly createdAt: string;
  readonly expiresAt: string;
  /** The certificate that it got. */
  readonly issuer: string | null;
  readonly serial: string | null;
  /** Why it is invalid. */
  readonly error: string | null;
}

/** What these routes need of the domain. */
export interface AcmeOperatorDomain {
  acmeAccounts(caller: Caller, after: string): Promise<{ accounts: AcmeAccountView[]; next: string | null }>;
  acmeOrders(caller: Caller, after: string): Promise<{ orders: AcmeOrderView[]; next: string | null }>;
  revokeAcmeAccount(caller: Caller, id: string): Promise<{ account: string; state: string }>;
}

const Page = z.strictObject({ after: z.string().max(64).default('') });

/** Accounts and orders of ACME, for operators. */
export function acmeOperatorRoutes(api: FastifyInstance, domain: AcmeOperatorDomain, reading: Reading): void {
  const { read, caller, parameter } = reading;
  api.get('/acme/accounts', async (request) => {
    const { after } = await read(request, () => checkBody(Page, request.query));
    return domain.acmeAccounts(caller(request), after);
  });
  api.get('/acme/orders', async (request) => {
    const { after } = await read(request, () => checkBody(Page, request.query));
    return domain.acmeOrders(caller(request), after);
  });
  api.post('/acme/accounts/:id/revocation', async (request) => {
    const id = await read(request, () => parameter(request, 'id'));
    return domain.revokeAcmeAccount(caller(request), id);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const ACME_OPERATOR_ROUTES = [
  ['GET', '/api/v1/acme/accounts ?after', 'enrolment.read'],
  ['GET', '/api/v1/acme/orders ?after', 'enrolment.read'],
  ['POST', '/api/v1/acme/accounts/:id/revocation', 'enrolment.authorise'],
] as const;
