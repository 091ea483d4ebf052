import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@keystead/core/clock';
import type { IssuerName } from '@keystead/core/lifecycle';
import { CA_ROLES } from '@keystead/core/x509';
import { namesEtag } from '../http/etag.ts';
import type { ServedCrl } from './directory.ts';
import { readRange } from './range.ts';

/** A cache between the client and us may keep a CRL this long: so late is a revocation seen there at most. */
const MAX_AGE_SECONDS = 60;

export interface CrlHandlerDeps {
  /** The CRL of a CA as it is now; a `CrlDirectory`. */
  /** Whose CRLs there are: the six CAs unless given, and their later keys. */
  readonly issuers?: readonly IssuerName[];
  readonly crls: { current(role: IssuerName): Promise<ServedCrl | undefined> };
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

/**
 * CRLs over HTTP, DER, at `<prefix><role>.crl` (RFC 5280 section 4.2.1.13, RFC 2585), with entity tags, so that a
 * client that has the current one fetches nothing, and with ranges, so that a broken download goes on where it
 * stopped. REQ-KEY-REV-01
 */
export function createCrlHandler(deps: CrlHandlerDeps): CrlHandler {
  const prefix = deps.prefix ?? '/crl/';
  const paths = new Map<string, IssuerName>((deps.issuers ?? CA_ROLES).map((role) => [`${prefix}${role}.crl`, role]));
  const maxAge = deps.maxAgeSeconds ?? MAX_AGE_SECONDS;

  async function serve(request: IncomingMessage, response: ServerResponse, role: IssuerName): Promise<void> {
    const crl = await deps.crls.current(role);
    if (crl === undefined) {
      end(response, 404);
      return;
    }
    const left = Math.floor((crl.nextUpdate.getTime() - deps.clock.now().getTime()) / 1000);
    response.setHeader('ETag', crl.etag);
    response.setHeader('Last-Modified', crl.thisUpdate.toUTCString());
    response.setHeader('Expires', crl.nextUpdate.toUTCString());
    response.setHeader('Cache-Control', `max-age=${Math.max(0, Math.min(left, maxAge))},public,no-transform`);
    response.setHeader('Accept-Ranges', 'bytes');
    if (namesEtag(request.headers['if-none-match'], crl.etag)) end(response, 304);
    else sendBody(request, response, crl);
  }

  return {
    handle(request, response) {
      const url = request.url ?? '';
      if (!url.startsWith(prefix)) return false;
      const role = paths.get(url);
      if (role === undefined) {
        end(response, 404);
      } else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        response.setHeader('Connection', 'close');
        end(response, 405);
      } else {
        serve(request, response, role).catch((error) => {
          deps.onFailure?.(error);
          end(response, 500);
        });
      }
      return true;
    },
  };
}

function sendBody(request: IncomingMessage, response: ServerResponse, { der, etag }: ServedCrl): void {
  // RFC 9110 section 13.1.5: a range of another version would make a CRL of two halves.
  const ifRange = request.headers['if-range'];
  const sameVersion = ifRange === undefined || ifRange === etag;
  const range = sameVersion ? readRange(request.headers.range, der.length) : 'whole';
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${der.length}`);
    end(response, 416);
    return;
  }
  const body = range === 'whole' ? der : der.subarray(range.first, range.last + 1);
  if (range !== 'whole') response.setHeader('Content-Range', `bytes ${range.first}-${range.last}/${der.length}`);
  response.writeHead(range === 'whole' ? 200 : 206, {
    'Content-Type': 'application/pkix-crl',
    'Content-Length': body.length,
  });
  response.end(body);
}

/** An answer without a body. */
function end(response: ServerResponse, status: number): void {
  if (!response.headersSent) response.writeHead(status, status === 304 ? {} : { 'Content-Length': 0 });
  response.end();
}
