import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import {
  createTlsServer,
  OcspClient,
  type PeerVerdict,
  peerCertificates,
  type StatusSource,
  verifyPeer,
} from '@keystead/agent';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { deviceIdOf, readCertificate } from '@keystead/core/x509';
import type { BackendConfig } from './config.ts';
import { ServiceSession } from './service-session.ts';
import { Counts, type Tally } from './tally.ts';

export interface BackendParts {
  readonly config: BackendConfig;
  /** The TLS key, PKCS#8 DER; wiped once the server has read it. */
  readonly key: SecretBytes;
  readonly clock: Clock;
  readonly log?: (line: Readonly<Record<string, string | number>>) => void;
}

/** One device's connection. */
interface Link {
  readonly certificates: readonly DerCertificate[];
  /** What the certificate claims, for counting refusals. */
  readonly claimed: string | undefined;
  session?: ServiceSession;
}

/** The largest message. */
const LARGEST_BODY = 64 * 1024;
/**
 * How often the open connections are looked through, milliseconds. A fleet of many thousands would follow the CRL
 * instead of asking for each of its devices this often.
 */
const SWEEP_MS = 400;

/**
 * An example of a service that devices talk to. It asks for the device's status on every request, also on
 * connections that were opened long ago, uses no answer for longer than half a second, and looks through the open
 * connections more often than that; so a device that is reported stolen is refused within a second, busy or idle. What it
 * cannot find out it refuses, and says why.
 *
 * It is trusted for nothing by Keystead: it holds the anchors, its own key, and what devices tell it.
 *
 * REQ-KEY-REV-03.
 */
export class Backend {
  readonly #config: BackendConfig;
  readonly #clock: Clock;
  readonly #log: (line: Readonly<Record<string, string | number>>) => void;
  readonly #ocsp: OcspClient;
  readonly #server: Server;
  readonly #status: HttpServer | undefined;
  readonly #links = new Map<TLSSocket, Link>();
  readonly #counts = new Counts();
  #sweep: NodeJS.Timeout | undefined;

  private constructor(parts: BackendParts) {
    const { config, clock, key } = parts;
    this.#config = config;
    this.#clock = clock;
    this.#log = parts.log ?? (() => undefined);
    const { ocspUrl } = config;
    this.#ocsp = new OcspClient({
      clock,
      cacheMs: config.ocspCacheMs,
      timeoutMs: 2000,
      ...(ocspUrl === undefined ? {} : { responderOf: () => ocspUrl }),
    });
    const [certificate, ...chain] = config.certificates;
    if (certificate === undefined)
      throw new KeysteadError('backend.config-invalid', { field: 'certificate', seen: 'none' });
    this.#server = createTlsServer({ certificate, chain, withKey: (use) => key.use(use) }, (options) =>
      createHttpsServer({
        ...options,
        requestTimeout: 10_000,
        headersTimeout: 5000,
        keepAliveTimeout: 60_000,
        maxHeaderSize: 8192,
      }),
    );
    key.wipe();
    this.#server.on('secureConnection', (socket: TLSSocket) => this.#admit(socket));
    this.#server.on('request', (request, response) => {
      this.#answer(request, response).catch((error: unknown) => this.#fail(response, error));
    });
    this.#status =
      config.statusPort === undefined
        ? undefined
        : createServer((request, response) => {
            if (request.url === '/status') sendJson(response, 200, this.tally());
            else sendJson(response, 404, { error: { code: 'request.malformed', message: 'the page is /status' } });
          });
  }

  /** Listens when the promise resolves. */
  static async start(parts: BackendParts): Promise<Backend> {
    const backend = new Backend(parts);
    const { host, port, statusPort } = parts.config;
    await listen(backend.#server, port, host);
    if (backend.#status !== undefined) await listen(backend.#status, statusPort ?? 0, '127.0.0.1');
    backend.#sweep = setInterval(() => void backend.#lookThrough(), SWEEP_MS);
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get statusPort(): number | undefined {
    return (this.#status?.address() as AddressInfo | null | undefined)?.port;
  }

  tally(): Tally {
    return this.#counts.read(this.#links.size);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweep);
    const closed = [this.#server, this.#status].map(
      (server) => new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve()))),
    );
    for (const socket of this.#links.keys()) socket.destroy();
    this.#status?.closeAllConnections();
    this.#server.closeAllConnections();
    await Promise.all(closed);
    this.#ocsp.close();
  }

  #admit(socket: TLSSocket): void {
    const certificates = peerCertificates(socket);
    this.#links.set(socket, { certificates, claimed: claimedDevice(certificates[0]) });
    socket.once('close', () => {
      this.#links.get(socket)?.session?.close();
      this.#links.delete(socket);
    });
  }

  #judge(link: Link, ocsp: StatusSource): Promise<PeerVerdict> {
    const { anchors, deviceIssuers } = this.#config;
    return verifyPeer(link.certificates, {
      clock: this.#clock,
      anchors,
      intermediates: deviceIssuers,
      issuers: deviceIssuers,
      extKeyUsage: 'clientAuth',
      expected: { device: true },
      ocsp,
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const link = socket instanceof TLSSocket ? this.#links.get(socket) : undefined;
    if (link === undefined || !(socket instanceof TLSSocket)) {
      response.destroy();
      return;
    }
    const body = await readBody(request);
    const verdict = await this.#judge(link, this.#ocsp);
    if (!verdict.ok) {
      this.#refuse(link, verdict);
      // The device hears why before the connection ends.
      response.setHeader('connection', 'close');
      response.once('finish', () => socket.destroySoon());
      sendJson(response, 403, refusalBody(verdict));
      return;
    }
    const deviceId = verdict.deviceId ?? '';
    this.#counts.request(deviceId);
    switch (`${request.method} ${request.url}`) {
      case 'GET /whoami':
        return sendJson(response, 200, { deviceId });
      case 'POST /session': {
        link.session?.close();
        link.session = ServiceSession.open(socket, deviceId, body);
        this.#counts.session();
        return sendJson(response, 200, link.session.greeting);
      }
      case 'POST /echo': {
        if (link.session === undefined) {
          throw new KeysteadError('request.malformed', {
            field: 'session',
            seen: 'none',
            remedy: 'POST /session first',
          });
        }
        const answer = link.session.echo(body);
        this.#counts.echo();
        response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': answer.length });
        response.end(answer);
        return;
      }
      default:
        return sendJson(response, 404, {
          error: { code: 'request.malformed', message: 'GET /whoami, POST /session, POST /echo' },
        });
    }
  }

  /** Ends the connections of devices that are no longer good, without waiting for their next request. */
  async #lookThrough(): Promise<void> {
    // Asked anew each time: an answer from the cache would add its age to the interval.
    const fresh: StatusSource = { status: (certificate, issuer) => this.#ocsp.status(certificate, issuer, 0) };
    await Promise.all(
      [...this.#links].map(async ([socket, link]) => {
        const verdict = await this.#judge(link, fresh);
        if (verdict.ok || socket.destroyed) return;
        // A request that is under way gives the reason itself; a moment is left for it.
        setTimeout(() => {
          if (socket.destroyed) return;
          this.#refuse(link, verdict);
          socket.destroy();
        }, 100).unref();
      }),
    );
  }

  #refuse(link: Link, verdict: PeerVerdict & { ok: false }): void {
    this.#counts.refusal(verdict.rule, link.claimed);
    this.#log({
      event: 'device.refused',
      device: link.claimed ?? 'unknown',
      rule: verdict.rule,
      detail: verdict.detail,
    });
  }

  #fail(response: ServerResponse, error: unknown): void {
    const known = error instanceof KeysteadError ? error : new KeysteadError('internal.unexpected', { cause: error });
    if (!(error instanceof KeysteadError))
      this.#log({ event: 'failure', detail: error instanceof Error ? error.message : 'unknown' });
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const status =
      known.kind === 'too-large' ? 413 : known.kind === 'internal' ? 500 : known.kind === 'unauthenticated' ? 401 : 400;
    response.setHeader('connection', 'close');
    sendJson(response, status, { error: known.toJSON() });
  }
}

/** Who the certificate says it is, whether or not that is true. */
function claimedDevice(certificate: DerCertificate | undefined): string | undefined {
  try {
    return certificate === undefined ? undefined : deviceIdOf(readCertificate(certificate).san);
  } catch {
    return undefined;
  }
}

const refusalBody = (verdict: PeerVerdict & { ok: false }): unknown => ({
  error: { code: 'peer.refused', field: verdict.rule, message: `this device is refused: ${verdict.detail}` },
});

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request) {
    if (!(part instanceof Buffer)) continue;
    length += part.length;
    if (length > LARGEST_BODY)
      throw new KeysteadError('request.too-large', { field: 'body', seen: `over ${LARGEST_BODY} bytes` });
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function listen(server: Server | HttpServer, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
