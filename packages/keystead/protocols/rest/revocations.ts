import { fromBase64, fromPem, type SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { GIVEN_REASONS, REVOCATION_ACTS } from '@keystead/core/lifecycle';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 letters, digits, . _ -');
/** As tools print it: either case, with or without colons. */
const serial = z
  .string()
  .max(80)
  .regex(/^(?:[0-9a-fA-F]{2}:?){0,20}[0-9a-fA-F]{2}$/, '1 to 21 octets in hex');
const reason = z.enum(GIVEN_REASONS);
const statement = z.string().min(1).max(20_480);

const SELECTORS = ['deviceId', 'serial', 'certificate', 'spkiSha256', 'ticketId', 'ca'] as const;

const Revoke = z
  .strictObject({
    deviceId: name.optional(),
    serial: serial.optional(),
    /** Of the serial number: without it, whichever CA has it. */
    issuer: name.optional(),
    /** PEM, or base64 of the DER. */
    certificate: z.string().min(1).max(32_768).optional(),
    spkiSha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, 'a SHA-256 in hex')
      .transform((hex) => hex.toLowerCase() as SpkiSha256)
      .optional(),
    ticketId: name.optional(),
    ca: name.optional(),
    act: z.enum(REVOCATION_ACTS).default('revoke'),
    reason: reason.optional(),
    invalidityDate: z.iso
      .datetime({ offset: false })
      .transform((text) => new Date(text))
      .optional(),
    /** Tells what would be done, and does nothing. */
    dryRun: z.boolean().default(false),
  })
  .refine((body) => SELECTORS.filter((one) => body[one] !== undefined).length === 1, {
    message: `name exactly one of ${SELECTORS.join(', ')}`,
    path: ['deviceId'],
  })
  .refine((body) => body.issuer === undefined || body.serial !== undefined, {
    message: 'goes with serial',
    path: ['issuer'],
  })
  .refine((body) => body.act !== 'revoke' || body.reason !== undefined, {
    message: 'must be there',
    path: ['reason'],
  });
const SelfRevoke = z.strictObject({ serial: serial.optional(), reason });
const Statement = z.strictObject({ statement });
const OrderId = z.strictObject({ id: name });

export type RevokeBody = Omit<z.output<typeof Revoke>, 'certificate'> & { readonly certificate?: Uint8Array };
export type SelfRevokeBody = z.output<typeof SelfRevoke>;

/** What these routes need of the domain. */
export interface RevocationDomain {
  revoke(caller: Caller, body: RevokeBody): Promise<unknown>;
  revokeOwn(caller: Caller, body: SelfRevokeBody): Promise<unknown>;
  requestRevocation(caller: Caller, statement: string): Promise<unknown>;
  approveRevocation(caller: Caller, id: string, statement: string): Promise<unknown>;
  withdrawRevocation(caller: Caller, id: string): Promise<unknown>;
  revocationRequests(caller: Caller): Promise<unknown>;
  revocationRequest(caller: Caller, id: string): Promise<unknown>;
}

/** Revocation: at once, by request and approval, and by a device of its own certificates. */
export function revocationRoutes(api: FastifyInstance, domain: RevocationDomain, { read, caller }: Reading): void {
  api.post('/revocations', async (request) => {
    const body = await read(request, () => withCertificate(checkBody(Revoke, request.body)));
    return domain.revoke(caller(request), body);
  });
  api.post('/self/revocations', async (request) => {
    const body = await read(request, () => checkBody(SelfRevoke, request.body));
    return domain.revokeOwn(caller(request), body);
  });
  api.get('/revocation-requests', (request) => domain.revocationRequests(caller(request)));
  api.post('/revocation-requests', async (request) => {
    const body = await read(request, () => checkBody(Statement, request.body));
    return domain.requestRevocation(caller(request), body.statement);
  });
  api.get('/revocation-requests/:id', async (request) => {
    const { id } = await read(request, () => checkBody(OrderId, request.params));
    return domain.revocationRequest(caller(request), id);
  });
  api.post('/revocation-requests/:id/approvals', async (request) => {
    const { id } = await read(request, () => checkBody(OrderId, request.params));
    const body = await read(request, () => checkBody(Statement, request.body));
    return domain.approveRevocation(caller(request), id, body.statement);
  });
  api.post('/revocation-requests/:id/withdrawal', async (request) => {
    const { id } = await read(request, () => checkBody(OrderId, request.params));
    return domain.withdrawRevocation(caller(request), id);
  });
}

function withCertificate({ certificate, ...body }: z.output<typeof Revoke>): RevokeBody {
  if (certificate === undefined) return body;
  try {
    const [der = fromBase64(certificate)] = fromPem('CERTIFICATE', certificate);
    return { ...body, certificate: der };
  } catch (cause) {
    throw new KeysteadError('request.malformed', { field: 'certificate', seen: 'neither PEM nor base64', cause });
  }
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const REVOCATION_ROUTES = [
  [
    'POST',
    '/api/v1/revocations {deviceId | serial, issuer | certificate | spkiSha256 | ticketId | ca, act, reason, invalidityDate, dryRun}',
    'device.revoke, certificate.revoke or revocation.propose; revocation.read with dryRun',
  ],
  ['POST', '/api/v1/self/revocations {serial, reason}', '(a certificate of the device itself)'],
  ['GET', '/api/v1/revocation-requests', 'revocation.read'],
  ['POST', '/api/v1/revocation-requests {statement}', 'revocation.propose'],
  ['GET', '/api/v1/revocation-requests/:id', 'revocation.read'],
  ['POST', '/api/v1/revocation-requests/:id/approvals {statement}', 'revocation.sign'],
  ['POST', '/api/v1/revocation-requests/:id/withdrawal', 'revocation.sign'],
] as const;
