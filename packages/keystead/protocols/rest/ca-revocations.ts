import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const RevokeCa = z.strictObject({
  /** As the operators' own keys signed them, the proposal first. */
  statements: z.array(z.string().min(1).max(20_480)).min(1).max(17),
});

/** What this route needs of the domain. */
export interface CaRevocationDomain {
  revokeCa(caller: Caller, statements: string[]): Promise<unknown>;
}

/** The revocation of a CA between ceremonies. */
export function caRevocationRoutes(api: FastifyInstance, domain: CaRevocationDomain, { read, caller }: Reading): void {
  api.post('/ca-revocations', async (request) => {
    const { statements } = await read(request, () => checkBody(RevokeCa, request.body));
    return domain.revokeCa(caller(request), statements);
  });
}

export const CA_REVOCATION_ROUTES = [
  ['POST', '/api/v1/ca-revocations {statements}', 'revocation.propose, and the quorum of ca-revocation'],
] as const;
