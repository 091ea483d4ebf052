import { fromBase64 } from '@keystead/core/bytes';
import { MOST_SUBJECT_BYTES } from '@keystead/core/firmware';
import { tufRepositoryName } from '@keystead/core/lifecycle';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const MOST_ROOT_BYTES = 64 * 1024;
/** As keyd takes them: wire/tuf.ts. */
const MOST_ROOTS = 256;
const MOST_ROOTS_BYTES = 1536 * 1024;
const file = (most: number) => z.base64().max(Math.ceil(most / 3) * 4);
const Repository = z.strictObject({ repository: tufRepositoryName });
const Status = z.strictObject({
  /** Those that keyd may not have, as they are published, base64. */
  roots: z
    .array(file(MOST_ROOT_BYTES))
    .max(MOST_ROOTS)
    .refine(
      (roots) => roots.reduce((sum, { length }) => sum + length, 0) <= (MOST_ROOTS_BYTES / 3) * 4,
      `must be ${MOST_ROOTS_BYTES} octets together at the most`,
    ),
  targets: file(MOST_SUBJECT_BYTES),
});
/** The targets in base64 and the roots; the rest of the form is little. */
const MOST_BODY = Math.ceil((MOST_SUBJECT_BYTES + MOST_ROOTS_BYTES) / 3) * 4 + MOST_ROOTS * 8 + 4096;

/** Metadata that people signed, for keyd to judge. */
export interface TufStatusBody {
  readonly roots: Uint8Array[];
  readonly targets: Uint8Array;
}

/** What these routes need of the domain. */
export interface TufDomain {
  tufRepositories(caller: Caller): Promise<unknown>;
  signTufStatus(caller: Caller, repository: string, body: TufStatusBody): Promise<unknown>;
}

/** The online roles of update repositories (TUF): keyd signs what is in force. REQ-KEY-SOD-02 */
export function tufRoutes(api: FastifyInstance, domain: TufDomain, { read, caller }: Reading): void {
  api.get('/tuf', (request) => domain.tufRepositories(caller(request)));
  api.post('/tuf/:repository/status', { bodyLimit: MOST_BODY }, async (request) => {
    const { repository } = await read(request, () => checkBody(Repository, request.params));
    const { roots, targets } = await read(request, () => checkBody(Status, request.body));
    const body = { roots: roots.map((root) => fromBase64(root)), targets: fromBase64(targets) };
    return domain.signTufStatus(caller(request), repository, body);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const TUF_ROUTES = [
  ['GET', '/api/v1/tuf', 'signing.read'],
  ['POST', '/api/v1/tuf/:repository/status {roots, targets}', 'signing.request'],
] as const;
