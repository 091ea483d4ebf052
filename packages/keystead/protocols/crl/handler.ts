import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '@keystead/core/clock';
import { notModified } from '../http/etag.ts';
import type { ServedCrl } from './directory.ts';
import { pemLength, pemOf } from './pem.ts';
import { type ByteRange, readRange } from './range.ts';

/** A cache between the client and us may keep a CRL this long: so late is a revocation seen there at most. */
const MAX_AGE_SECONDS = 60;
/** A list may be replaced between the look and the reading; a third time in a row it is not. */
const MOST_LOOKS = 3;

export interface CrlHandlerDeps {
  /** The CRL of a list as it is now; a `CrlDirectory`. */
  readonly crls: { current(list: string): Promise<ServedCrl | undefined> };
  readonly clock: Clock;
  /** Told of failures; the client only sees 500. */
  readonly onFailure?: (error: unknown) => void;
  /** Where the CRLs stand: `/crl/` gives `/crl/operational.crl`. */
  readonly prefix?: string;
  readonly maxAgeSeconds?: number;
}

export interface CrlHandler {
  /** Answers the request when its path is under the prefix; false when it is another's. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * CRLs over HTTP, DER at `<prefix><list>.crl` (RFC 5280 section 4.2.1.13, RFC 2585), and PEM at `.pem`: with entity tags
 * and dates, so that a client that has the current one fetches nothing, and the DER with ranges, so that a broken
 * download goes on where it stopped. Long lists come from the file as they are read. REQ-KEY-REV-01
 */
export function createCrlHandler(deps: CrlHandlerDeps): CrlHandler {
  const prefix = deps.prefix ?? '/crl/';
  const maxAge = deps.maxAgeSeconds ?? MAX_AGE_SECONDS;

  async function serve(exchange: Exchange, list: string, form: string): Promise<void> {
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const crl = await deps.crls.current(list);
      if (crl === undefined) return end(exchange.response, 404);
      if (await answer(exchange, crl, form === 'pem')) return;
    }
    end(exchange.response, 503);
  }

  /** @returns false, before anything was sent, when the list was replaced meanwhile. */
  async function answer({ request, response }: Exchange, crl: ServedCrl, pem: boolean): Promise<boolean> {
    const left = Math.floor((crl.nextUpdate.getTime() - deps.clock.now().getTime()) / 1000);
    // Another form of the same is another representation (RFC 9110 section 8.8.1).
    const etag = pem ? crl.etag.replace(/"$/, '-pem"') : crl.etag;
    const modified = !notModified(request.headers, etag, crl.thisUpdate);
    const length = pem ? pemLength(crl.length) : crl.length;
    const range = modified && !pem ? rangeOf(request, etag, length) : 'whole';
    const body = modified && range !== 'unsatisfiable' && request.method !== 'HEAD';
    const file = body && crl.der === undefined ? await crl.open() : undefined;
    if (body && crl.der === undefined && file === undefined) return false;
    response.setHeader('ETag', etag);
    response.setHeader('Last-Modified', crl.thisUpdate.toUTCString());
    response.setHeader('Expires', crl.nextUpdate.toUTCString());
    response.setHeader('Cache-Control', `max-age=${Math.max(0, Math.min(left, maxAge))},public,no-transform`);
    response.setHeader('Accept-Ranges', pem ? 'none' : 'bytes');
    if (!modified) {
      end(response, 304);
    } else if (range === 'unsatisfiable') {
      response.setHeader('Content-Range', `bytes */${length}`);
      end(response, 416);
    } else {
      if (range !== 'whole') response.setHeader('Content-Range', `bytes ${range.first}-${range.last}/${length}`);
      response.writeHead(range === 'whole' ? 200 : 206, {
        'Content-Type': pem ? 'application/x-pem-file' : 'application/pkix-crl',
        'Content-Length': range === 'whole' ? length : range.last - range.first + 1,
      });
      if (!body) response.end();
      else if (pem)
        await sent(pemOf(file === undefined ? [crl.der ?? Buffer.alloc(0)] : file.createReadStream()), response);
      else if (file === undefined) response.end(part(crl.der ?? Buffer.alloc(0), range));
      else
        await sent(file.createReadStream(range === 'whole' ? {} : { start: range.first, end: range.last }), response);
    }
    return true;
  }

  return {
    handle(request, response) {
      const url = request.url ?? '';
      if (!url.startsWith(prefix)) return false;
      const [, list, form] = /^([^/?#]+)\.(crl|pem)$/.exec(url.slice(prefix.length)) ?? [];
      if (list === undefined || form === undefined) {
        end(response, 404);
      } else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        response.setHeader('Connection', 'close');
        end(response, 405);
      } else {
        serve({ request, response }, list, form).catch((error) => {
          deps.onFailure?.(error);
          // After the first octet all that is left is to break off, so that nobody takes a part for the whole.
          if (response.headersSent) response.destroy();
          else end(response, 500);
        });
      }
      return true;
    },
  };
}

function rangeOf(request: IncomingMessage, etag: string, length: number): ByteRange | 'whole' | 'unsatisfiable' {
  // RFC 9110 section 13.1.5: a range of another version would make a CRL of two halves. A date is no strong validator.
  const ifRange = request.headers['if-range'];
  return ifRange === undefined || ifRange === etag ? readRange(request.headers.range, length) : 'whole';
}

const part = (der: Buffer, range: ByteRange | 'whole'): Buffer =>
  range === 'whole' ? der : der.subarray(range.first, range.last + 1);

/** Sends what is read as fast as the client takes it; a client that goes away ends the reading and is no failure. */
async function sent(body: AsyncIterable<string | Uint8Array>, response: ServerResponse): Promise<void> {
  await pipeline(Readable.from(body, { objectMode: false }), response).catch((error: unknown) => {
    const gone = error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (!gone) throw error;
  });
}

/** An answer without a body. */
function end(response: ServerResponse, status: number): void {
  if (!response.headersSent) response.writeHead(status, status === 304 ? {} : { 'Content-Length': 0 });
  response.end();
}
