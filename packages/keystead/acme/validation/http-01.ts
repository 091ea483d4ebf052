import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { KeysteadError } from '@keystead/core/errors';
import type { Trial } from '../trials.ts';
import type { Names } from './names.ts';
import type { AllowedNetworks } from './networks.ts';

/** RFC 8555 section 8.3 lets a client redirect; a few are enough to get from http to https and to another host. */
const MOST_REDIRECTS = 4;
/** A key authorization has about 90 characters; blanks after it are allowed. */
const MOST_BODY_BYTES = 512;
/** Of the addresses of one name, so many are tried. */
const MOST_TRIED = 2;

export interface HttpRules {
  readonly networks: AllowedNetworks;
  readonly names: Names;
  /** Where the first request goes, and the ports that a redirect may name. */
  readonly httpPort: number;
  readonly tlsPort: number;
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

/**
 * RFC 8555 section 8.3: the host has a file with the key authorization. Each host of each redirect is resolved here,
 * held to the allowed networks, and connected to by that very address, so that a second look at DNS changes nothing.
 * @throws KeysteadError `acme.dns`, `acme.connection`, `acme.network-forbidden`, `acme.response-incorrect`.
 */
export async function tryHttp01(trial: Trial, rules: HttpRules, signal: AbortSignal): Promise<void> {
  const { value } = trial.identifier;
  const host = isIP(value) === 6 ? `[${value}]` : value;
  const path = `/.well-known/acme-challenge/${trial.token}`;
  let url = new URL(`http://${host}${rules.httpPort === 80 ? '' : `:${rules.httpPort}`}${path}`);
  for (let redirects = 0; ; redirects += 1) {
    const { status, location, body } = await fetchAt(url, rules, signal);
    if (status === 200) {
      // RFC 8555 section 8.3: white space after it is passed over.
      if (body.trimEnd() === trial.keyAuthorization) return;
      throw incorrect(url, `${JSON.stringify(body.slice(0, 80))} in place of the key authorization`);
    }
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined) throw incorrect(url, `status ${status}`);
    if (redirects >= MOST_REDIRECTS) throw incorrect(url, `more than ${MOST_REDIRECTS} redirects`);
    url = redirected(url, location, rules);
  }
}

/** Only http and https, and only their ports: anything else is no web server that answers for the name. */
function redirected(from: URL, location: string, { httpPort, tlsPort }: HttpRules): URL {
  if (location.length > 2048 || !URL.canParse(location, from.href)) throw incorrect(from, 'a redirect to no URL');
  const url = new URL(location, from.href);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw incorrect(from, `a redirect to ${url.protocol}`);
  if (url.username !== '' || url.password !== '') throw incorrect(from, 'a redirect with a user');
  const port = portOf(url);
  if (![80, 443, httpPort, tlsPort].includes(port)) throw incorrect(from, `a redirect to port ${port}`);
  url.hash = '';
  return url;
}

const portOf = (url: URL): number => (url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port));

async function fetchAt(url: URL, { names, networks }: HttpRules, signal: AbortSignal): Promise<Answer> {
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
  const addresses = networks.require(await names.addresses(host), host);
  let failure = new KeysteadError('acme.connection', { field: host });
  for (const address of addresses.slice(0, MOST_TRIED)) {
    try {
      return await fetchFrom(url, host, address, signal);
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.code !== 'acme.connection') throw error;
      failure = error;
    }
  }
  throw failure;
}

function fetchFrom(url: URL, host: string, address: string, signal: AbortSignal): Promise<Answer> {
  const where = `${url.protocol}//${host} at ${address}`;
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown): void => {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no answer';
      const seen = signal.aborted ? 'no answer in time' : code;
      reject(new KeysteadError('acme.connection', { field: where, seen, cause }));
    };
    const options = {
      host: address,
      port: portOf(url),
      path: `${url.pathname}${url.search}`,
      // RFC 8555 section 8.3: the Host header is the name itself.
      headers: { Host: url.hostname, 'User-Agent': 'keystead-acme', Accept: '*/*', Connection: 'close' },
      setHost: false,
      agent: false,
      signal,
      maxHeaderSize: 16 * 1024,
    };
    const answered = (response: IncomingMessage): void => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('error', failed);
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size <= MOST_BODY_BYTES) parts.push(part);
        else {
          response.destroy();
          reject(incorrect(url, `a body of more than ${MOST_BODY_BYTES} bytes`));
        }
      });
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        const body = Buffer.concat(parts).toString('latin1');
        resolve({ status, location: response.headers.location, body });
      });
    };
    const request =
      url.protocol === 'https:'
        ? // The certificate is what the client is about to get: there is nothing yet that it could be checked by.
          httpsRequest({ ...options, servername: isIP(host) === 0 ? host : '', rejectUnauthorized: false }, answered)
        : httpRequest(options, answered);
    request.on('error', failed);
    request.end();
  });
}

const incorrect = (url: URL, seen: string): KeysteadError =>
  new KeysteadError('acme.response-incorrect', { field: url.href.slice(0, 200), seen });
