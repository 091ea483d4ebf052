import type { Readable } from 'node:stream';
import { KeysteadError } from '@keystead/core/errors';
import { FIRMWARE_FORMATS } from '@keystead/core/firmware';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { allowLongBody } from '../http/long-body.ts';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

/** A caller, or a workload that shows a token where it has no certificate. */
export interface SigningCaller extends Caller {
  readonly token?: string;
}

/** Bytes that go out as they lie on the disk. */
export interface SigningContent {
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
  readonly stream: Readable;
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 letters, digits, . _ -');
const File = z.strictObject({ sha256 });
const Id = z.strictObject({ id: name });
const Statement = z.strictObject({ statement: z.string().min(1).max(20_480) });
const Page = z.strictObject({ after: name.optional() });
const WorklistQuery = z.strictObject({
  key: name,
  from: z
    .string()
    .regex(/^\d{1,9}$/, 'must be a number')
    .transform(Number)
    .default(0),
});
const KeyOrder = z.strictObject({
  /** As the operators' own keys signed them, the proposal first. */
  statements: z.array(z.string().min(1).max(20_480)).min(1).max(17),
});
const Request = z.strictObject({
  /** Chosen by who asks: the same id with the same content is the same request. */
  id: name,
  product: name,
  environment: z.enum(['production', 'development']),
  target: name,
  version: z.string().min(1).max(64),
  /** Where the format has no place for it. */
  securityCounter: z.int().min(0).max(0xffff_ffff).optional(),
  format: z.enum(FIRMWARE_FORMATS),
  /** Ids of keys of the policy; without them, those that the policy has for the product and its environment. */
  keys: z.array(name).min(1).max(4).optional(),
  image: z.strictObject({ sha256 }),
  documents: z.strictObject({ sbom: sha256.optional(), provenance: sha256.optional() }).default({}),
  reason: z.string().min(1).max(500),
  rollback: z.boolean().default(false),
});

export type SigningRequestBody = z.output<typeof Request>;

/** What these routes need of the domain. */
export interface SigningDomain {
  /** Whether the body of a file is read from this caller at all. @throws KeysteadError, audited. */
  admitSigningFile(caller: SigningCaller, bytes: number | undefined): Promise<void>;
  keepSigningFile(
    caller: SigningCaller,
    sha256: string,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<{ sha256: string; bytes: number }>;
  signingFile(caller: SigningCaller, sha256: string): Promise<{ sha256: string; bytes: number }>;
  signingContent(caller: SigningCaller, sha256: string): Promise<SigningContent>;
  requestSigning(caller: SigningCaller, body: SigningRequestBody): Promise<unknown>;
  signingRequests(caller: SigningCaller, after: string | undefined): Promise<unknown>;
  signingRequest(caller: SigningCaller, id: string): Promise<unknown>;
  addSigningStatement(caller: SigningCaller, id: string, statement: string): Promise<unknown>;
  withdrawSigning(caller: SigningCaller, id: string): Promise<unknown>;
  signingResult(caller: SigningCaller, id: string): Promise<SigningContent>;
  signingKeys(caller: SigningCaller): Promise<unknown>;
  signingWorklist(caller: SigningCaller, key: string, from: number): Promise<unknown>;
  orderSigningKey(caller: SigningCaller, statements: string[]): Promise<unknown>;
  /** Those that stand beside what was signed; bytes in base64. */
  signingTimestamps(caller: SigningCaller, id: string): Promise<unknown>;
}

/** Firmware signing: files by their hash, requests, what people sign of them, and results. REQ-KEY-SOD-02 */
export function signingRoutes(api: FastifyInstance, domain: SigningDomain, { read, caller }: Reading): void {
  const who = (request: FastifyRequest): SigningCaller => ({ ...caller(request), token: bearerOf(request) });
  const idOf = async (request: FastifyRequest) => (await read(request, () => checkBody(Id, request.params))).id;
  const hashOf = async (request: FastifyRequest) => (await read(request, () => checkBody(File, request.params))).sha256;

  api.register(async (files) => {
    // The body of a file is never held in memory: it is the stream itself, and the domain bounds and hashes it.
    files.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body));
    files.put(
      '/signing/files/:sha256',
      {
        // Before the body: a stranger's is not read, and only who is known may take longer than a request may.
        onRequest: async (request: FastifyRequest) => {
          await domain.admitSigningFile(who(request), lengthOf(request));
          allowLongBody(request);
        },
      },
      async (request) => {
        const hash = await hashOf(request);
        const body = await read(request, () => streamOf(request));
        return domain.keepSigningFile(who(request), hash, body);
      },
    );
  });
  api.get('/signing/files/:sha256', async (request) => domain.signingFile(who(request), await hashOf(request)));
  api.get('/signing/files/:sha256/content', async (request, reply) =>
    send(reply, await domain.signingContent(who(request), await hashOf(request))),
  );
  api.get('/signing/requests', async (request) => {
    const { after } = await read(request, () => checkBody(Page, request.query));
    return domain.signingRequests(who(request), after);
  });
  api.post('/signing/requests', async (request) => {
    const body = await read(request, () => checkBody(Request, request.body));
    return domain.requestSigning(who(request), body);
  });
  api.get('/signing/requests/:id', async (request) => domain.signingRequest(who(request), await idOf(request)));
  api.post('/signing/requests/:id/statements', async (request) => {
    const id = await idOf(request);
    const { statement } = await read(request, () => checkBody(Statement, request.body));
    return domain.addSigningStatement(who(request), id, statement);
  });
  api.post('/signing/requests/:id/withdrawal', async (request) =>
    domain.withdrawSigning(who(request), await idOf(request)),
  );
  api.get('/signing/keys', async (request) => domain.signingKeys(who(request)));
  api.get('/signing/worklist', async (request) => {
    const { key, from } = await read(request, () => checkBody(WorklistQuery, request.query));
    return domain.signingWorklist(who(request), key, from);
  });
  api.post('/signing/key-orders', async (request) => {
    const { statements } = await read(request, () => checkBody(KeyOrder, request.body));
    return domain.orderSigningKey(who(request), statements);
  });
  api.get('/signing/requests/:id/result', async (request, reply) =>
    send(reply, await domain.signingResult(who(request), await idOf(request))),
  );
  api.get('/signing/requests/:id/timestamps', async (request) =>
    domain.signingTimestamps(who(request), await idOf(request)),
  );
}

function send(reply: FastifyReply, { bytes, sha256: hash, stream }: SigningContent): FastifyReply {
  return reply
    .type('application/octet-stream')
    .header('Content-Length', bytes)
    .header('Repr-Digest', `sha-256=:${Buffer.from(hash, 'hex').toString('base64')}:`)
    .send(stream);
}

/** RFC 6750 section 2.1. */
function bearerOf({ headers }: FastifyRequest): string | undefined {
  return /^Bearer ([A-Za-z0-9._~+/-]{1,16384}=*)$/i.exec(headers.authorization ?? '')?.[1];
}

function lengthOf({ headers }: FastifyRequest): number | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

function streamOf({ body }: FastifyRequest): AsyncIterable<Uint8Array> {
  if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body) return body as Readable;
  throw new KeysteadError('request.content-type', {
    field: 'Content-Type',
    seen: 'application/octet-stream is needed',
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const SIGNING_ROUTES = [
  ['PUT', '/api/v1/signing/files/:sha256 (application/octet-stream)', 'signing.request, or a workload token'],
  ['GET', '/api/v1/signing/files/:sha256', 'signing.read, or a workload token'],
  ['GET', '/api/v1/signing/files/:sha256/content', 'signing.read'],
  [
    'POST',
    '/api/v1/signing/requests {id, product, environment, target, version, securityCounter, format, keys, image, documents, reason, rollback}',
    'signing.request, or a workload token',
  ],
  ['GET', '/api/v1/signing/requests ?after', 'signing.read'],
  ['GET', '/api/v1/signing/requests/:id', 'signing.read, or the token of the workload that submitted it'],
  ['POST', '/api/v1/signing/requests/:id/statements {statement}', 'signing.sign'],
  ['POST', '/api/v1/signing/requests/:id/withdrawal', 'signing.request'],
  ['GET', '/api/v1/signing/keys', 'signing.read'],
  ['GET', '/api/v1/signing/worklist ?key&from', 'signing.read'],
  ['POST', '/api/v1/signing/key-orders {statements}', 'firmware-key.sign, and the quorum of firmware-emergency'],
  ['GET', '/api/v1/signing/requests/:id/result', 'signing.read, or the token of the workload that submitted it'],
  ['GET', '/api/v1/signing/requests/:id/timestamps', 'signing.read, or the token of the workload that submitted it'],
] as const;
