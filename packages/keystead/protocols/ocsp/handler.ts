import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Serial } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerName } from '@keystead/core/lifecycle';
import { MAX_OCSP_REQUEST_BYTES, type ParsedOcspRequest, parseOcspRequest } from '@keystead/core/x509';
import { notModified } from '../http/etag.ts';
import { AnswerCache } from './cache.ts';
import { CachedAnswer } from './cached-answer.ts';
import { requestOfPath } from './get-path.ts';
import { errorReply, type OcspReply } from './responder.ts';

const REQUEST_TYPE = 'application/ocsp-request';
const NOTHING = Buffer.alloc(0);
const RESPONSE_TYPE = 'application/ocsp-response';
/** Answers to 20,000 certificates; beyond, those that are asked for most stay. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** Answers that keyd makes at once. More would only wait longer; who asks for them is told to come back. */
const MOST_PENDING = 4096;
/** A cache between the client and us may keep an answer this long: so late is a revocation seen there at most. */
const MAX_AGE_SECONDS = 60;

/** What makes the answers; an `OcspResponder`, or a stand-in. */
export interface OcspAnswerer {
  readonly roles: readonly IssuerName[];
  answer(request: ParsedOcspRequest, role: IssuerName): Promise<OcspReply>;
}

export type StatusListener = (issuer: IssuerName, serial?: Serial) => void;

export interface OcspHandlerDeps {
  readonly responder: OcspAnswerer;
  /**
   * Tells `listener` of every change of a certificate's status once it is durable and before it is acknowledged to
   * anyone. Without a serial, any certificate of the issuer may have changed. @returns a function that ends it.
   */
  readonly onStatusChanged: (listener: StatusListener) => () => void;
  readonly clock: Clock;
  /** Told of failures that nobody expected; the client only hears `internalError`. */
  readonly onFailure?: (error: unknown) => void;
  /** Where the responders stand: `/ocsp/` gives `/ocsp/operational`. */
  readonly prefix?: string;
  readonly cacheBytes?: number;
  readonly maxAgeSeconds?: number;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface OcspHandler {
  /** Answers the request when its path is under the prefix; false when it is another's. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** Stops listening for changes. */
  close(): void;
}

/**
 * OCSP over HTTP (RFC 6960 appendix A, RFC 5019) at `<prefix><role>`: POST, and GET with the request in the path.
 * Answers without a nonce are kept, by the exact bytes of the request, until a status changes or their end is near;
 * that path parses nothing and costs little more than any answer of node:http. REQ-KEY-REV-02
 */
export function createOcspHandler(deps: OcspHandlerDeps): OcspHandler {
  const { responder, clock } = deps;
  const prefix = deps.prefix ?? '/ocsp/';
  const maxAge = deps.maxAgeSeconds ?? MAX_AGE_SECONDS;
  const cacheBytes = (deps.cacheBytes ?? CACHE_BYTES) / Math.max(1, responder.roles.length);
  const caches = new Map(responder.roles.map((role) => [role, new AnswerCache(clock, cacheBytes)]));
  const posts = new Map(responder.roles.map((role) => [`${prefix}${role}`, role]));
  const cacheOf = (role: IssuerName): AnswerCache => {
    const cache = caches.get(role);
    if (cache === undefined) throw new RangeError(`no responder for ${role}`);
    return cache;
  };
  let pending = 0;

  async function make(request: ParsedOcspRequest, role: IssuerName): Promise<OcspReply> {
    if (pending >= MOST_PENDING) throw new KeysteadError('ocsp.busy', { field: 'responder' });
    pending += 1;
    try {
      const reply = await responder.answer(request, role);
      // An answer with a nonce is for one request, whoever made it and whatever it says of itself.
      return request.nonce === undefined ? reply : { der: reply.der };
    } finally {
      pending -= 1;
    }
  }

  async function ask(der: Uint8Array, key: string, role: IssuerName): Promise<OcspReply | CachedAnswer> {
    try {
      const request = parseOcspRequest(der);
      const serials = request.certIds.map((certId) => certId.serial);
      return await cacheOf(role).fill(key, serials, () => make(request, role));
    } catch (error) {
      return failure(error, deps.onFailure);
    }
  }

  function answerAnew(der: Uint8Array, key: string, role: IssuerName, exchange: Exchange): void {
    ask(der, key, role)
      .then((reply) => {
        if (reply instanceof CachedAnswer) send(exchange, reply);
        else sendOnce(exchange.response, reply);
      })
      .catch((error) => deps.onFailure?.(error));
  }

  function send(exchange: Exchange, answer: CachedAnswer): void {
    if (exchange.request.method === 'POST') sendPost(exchange.response, answer);
    else sendGet(exchange, answer, answer.headers(clock.now().getTime(), maxAge));
  }

  function post(exchange: Exchange, role: IssuerName): void {
    const { request, response } = exchange;
    const declared = Number(request.headers['content-length'] ?? 0);
    if (!isRequestType(request.headers['content-type'])) refuse(exchange, 415);
    else if (declared > MAX_OCSP_REQUEST_BYTES) refuse(exchange, 413);
    let body: Buffer = NOTHING;
    request.on('data', (chunk: Buffer) => {
      if (response.headersSent) return;
      body = body.length === 0 ? chunk : Buffer.concat([body, chunk]);
      if (body.length <= MAX_OCSP_REQUEST_BYTES) return;
      body = NOTHING;
      refuse(exchange, 413);
    });
    request.on('end', () => {
      if (response.headersSent) return;
      const key = body.toString('latin1');
      const kept = cacheOf(role).get(key, clock.now().getTime());
      if (kept !== undefined) sendPost(response, kept);
      else answerAnew(body, key, role, exchange);
    });
  }

  function get(exchange: Exchange, url: string): void {
    const slash = url.indexOf('/', prefix.length);
    const role = posts.get(slash < 0 ? url : url.slice(0, slash));
    // A DER request begins with an octet that no path begins with: the keys of GET and POST never meet.
    const kept = role === undefined ? undefined : cacheOf(role).get(url, clock.now().getTime());
    const der = kept === undefined && slash >= 0 ? requestOfPath(url.slice(slash + 1)) : undefined;
    if (role === undefined) refuse(exchange, 404);
    else if (kept !== undefined) send(exchange, kept);
    else if (der === undefined) sendOnce(exchange.response, errorReply('malformedRequest'));
    else answerAnew(der, url, role, exchange);
  }

  const stop = deps.onStatusChanged((issuer, serial) => caches.get(issuer)?.statusChanged(serial));
  return {
    handle(request, response) {
      const url = request.url ?? '';
      const role = posts.get(url);
      if (role !== undefined && request.method === 'POST') {
        post({ request, response }, role);
        return true;
      }
      if (!url.startsWith(prefix)) return false;
      if (request.method === 'GET' || request.method === 'HEAD') get({ request, response }, url);
      else refuse({ request, response }, request.method === 'POST' ? 404 : 405);
      return true;
    },
    close: stop,
  };
}

const isRequestType = (header: string | undefined): boolean =>
  header === REQUEST_TYPE || header?.split(';', 1)[0]?.trim().toLowerCase() === REQUEST_TYPE;

/** An error of the request or of keyd, in OCSP's own terms (RFC 6960 section 2.3). */
function failure(error: unknown, onFailure: OcspHandlerDeps['onFailure']): OcspReply {
  if (error instanceof KeysteadError) {
    if (error.code === 'ocsp.malformed') return errorReply('malformedRequest');
    if (error.code === 'ocsp.hash-unsupported') return errorReply('unauthorized');
    // keyd hears of a release or a revocation a moment before or after the records: the next request finds them agreed.
    if (error.kind === 'unavailable' || error.code === 'revocation.undone') return errorReply('tryLater');
  }
  onFailure?.(error);
  return errorReply('internalError');
}

/** Nothing between keeps the answer to a POST, so the headers for caches would be bytes for nothing. */
function sendPost(response: ServerResponse, { body, text }: CachedAnswer): void {
  response.writeHead(200, ['Content-Type', RESPONSE_TYPE, 'Content-Length', String(body.length)]);
  response.end(text, 'latin1');
}

function sendGet({ request, response }: Exchange, answer: CachedAnswer, headers: string[]): void {
  if (notModified(request.headers, answer.etag, answer.thisUpdate)) {
    response.writeHead(304, headers.slice(CachedAnswer.bodyHeaders));
    response.end();
  } else {
    response.writeHead(200, headers);
    response.end(answer.text, 'latin1');
  }
}

/** Answers that are for this request alone: with a nonce, of an unknown certificate, or an error. */
function sendOnce(response: ServerResponse, { der }: OcspReply): void {
  response.writeHead(200, {
    'Content-Type': RESPONSE_TYPE,
    'Content-Length': der.length,
    'Cache-Control': 'no-store',
  });
  response.end(der);
}

/** A failure of HTTP, before there is an OCSP request. The rest of a body is not waited for. */
function refuse({ request, response }: Exchange, status: 404 | 405 | 413 | 415): void {
  const bodyless = request.method === 'GET' || request.method === 'HEAD';
  response.writeHead(status, {
    'Content-Length': 0,
    ...(status === 405 ? { Allow: 'GET, HEAD, POST' } : {}),
    ...(bodyless ? {} : { Connection: 'close' }),
  });
  response.end();
}
