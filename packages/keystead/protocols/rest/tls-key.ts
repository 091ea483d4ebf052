import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const Prepare = z.strictObject({ use: z.enum(['next', 'backup']), replace: z.boolean().default(false) });
const Use = z.strictObject({ key: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex') });

/** What is told of serve's TLS keys. */
export interface TlsKeyView {
  /** What those who connect are shown; null before serve listens. */
  readonly shown: {
    readonly spkiSha256: string;
    /** Whether it is the key that is kept, and not one of the moment. */
    readonly kept: boolean;
    readonly certificate: { readonly serial: string; readonly notBefore: string; readonly notAfter: string };
  } | null;
  /** Why the kept key is not shown, or none is kept. */
  readonly problem: Readonly<Record<string, unknown>> | null;
  readonly keys: readonly {
    readonly use: 'current' | 'next' | 'backup';
    readonly spkiSha256: string;
    readonly state: string;
    readonly madeAt: string | null;
    readonly usedSince: string | null;
    /** The end of its originator usage period; null for a key that waits, or without an end. */
    readonly usedUntil: string | null;
  }[];
}

/** What these routes need of the domain. */
export interface TlsKeyDomain {
  tlsKey(caller: Caller): Promise<TlsKeyView>;
  prepareTlsKey(caller: Caller, use: 'next' | 'backup', replace: boolean): Promise<TlsKeyView>;
  /** @param key SHA-256 of its SubjectPublicKeyInfo, hex. */
  useTlsKey(caller: Caller, key: string): Promise<TlsKeyView>;
}

/** The TLS keys of this server itself. REQ-KEY-ROT-03 */
export function tlsKeyRoutes(api: FastifyInstance, domain: TlsKeyDomain, { read, caller }: Reading): void {
  api.get('/tls-key', (request) => domain.tlsKey(caller(request)));
  api.post('/tls-key/prepared', async (request) => {
    const { use, replace } = await read(request, () => checkBody(Prepare, request.body));
    return domain.prepareTlsKey(caller(request), use, replace);
  });
  api.post('/tls-key/use', async (request) => {
    const { key } = await read(request, () => checkBody(Use, request.body));
    return domain.useTlsKey(caller(request), key);
  });
}

export const TLS_KEY_ROUTES = [
  ['GET', '/api/v1/tls-key', 'key.read'],
  ['POST', '/api/v1/tls-key/prepared {use, replace}', 'rotation.manage'],
  ['POST', '/api/v1/tls-key/use {key}', 'rotation.manage'],
] as const;
