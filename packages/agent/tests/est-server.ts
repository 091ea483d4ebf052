import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type DerCertificate, fromBase64, toBase64, toPem } from '@keystead/core/bytes';
import { certsOnly, checkPath, deviceIdOf, parseCsr, readCertificate } from '@keystead/core/x509';
import { deviceCertificate, type Fleet } from './fleet.ts';
import { pkcs8Of, serverCertificate } from './test-ca.ts';

/** What the server does with the next enrolment instead of issuing. */
export type Mishap =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** Issues, but the connection ends before the answer. */
  | { readonly kind: 'lose the answer' };

/** An EST server (RFC 7030) for tests, over real TLS, on the fleet's simulated clock. */
export class TestEstServer {
  readonly mishaps: Mishap[] = [];
  /** Every request body and path that came. */
  readonly requests: { path: string; body: string; client: string | undefined }[] = [];
  /** What devices have reported of themselves, by device id. */
  readonly uptake = new Map<string, unknown>();
  /** What renewal-info answers. */
  renewalInfo: unknown = { suggestedWindow: null };
  readonly issued = new Map<string, readonly DerCertificate[]>();
  lifetimeSeconds = 90;
  graceSeconds = 3600;
  ocspUrl: string | undefined;
  readonly #fleet: Fleet;
  readonly #server: Server;
  readonly #lastEnd = new Map<string, number>();

  private constructor(fleet: Fleet, host: string) {
    this.#fleet = fleet;
    const { key, certificate, chain } = serverCertificate(fleet.server, fleet.start, fleet.end, host);
    this.#server = createServer(
      {
        key: toPem('PRIVATE KEY', pkcs8Of(key.privateKey)),
        cert: [certificate, ...chain].map((der) => toPem('CERTIFICATE', der)).join(''),
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => {
        const parts: Buffer[] = [];
        request.on('data', (part: Buffer) => parts.push(part));
        request.on('end', () => this.#handle(request, response, Buffer.concat(parts).toString('latin1')));
      },
    );
  }

  static async start(fleet: Fleet, host = 'localhost'): Promise<TestEstServer> {
    const server = new TestEstServer(fleet, host);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  /** Writes down what comes in, as it is after decryption. */
  recordInto(into: Buffer[]): void {
    this.#server.on('secureConnection', (socket: TLSSocket) => socket.on('data', (bytes: Buffer) => into.push(bytes)));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #handle(request: IncomingMessage, response: ServerResponse, body: string): unknown {
    const client = request.socket instanceof TLSSocket ? request.socket.getPeerX509Certificate() : undefined;
    const der = client === undefined ? undefined : (new Uint8Array(client.raw) as DerCertificate);
    this.requests.push({ path: request.url ?? '', body, client: client?.issuer });
    const send = (status: number, headers: Record<string, string>, text: string): void => {
      response.writeHead(status, headers).end(text);
    };
    const refuse = (status: number, text: string): void => send(status, { 'content-type': 'text/plain' }, text);
    const sendCertificates = (certificates: readonly DerCertificate[]): void =>
      send(
        200,
        { 'content-type': 'application/pkcs7-mime; smime-type=certs-only' },
        `${toBase64(certsOnly([...certificates]))
          .match(/.{1,64}/g)
          ?.join('\r\n')}\r\n`,
      );

    if (request.url === '/.well-known/est/cacerts') {
      const { root, operational, manufacturing, server } = this.#fleet;
      sendCertificates([root, operational, manufacturing, server].map((ca) => ca.certificate));
      return;
    }
    const mishap = this.mishaps.shift();
    if (mishap?.kind === 'answer') {
      send(mishap.status, mishap.headers ?? { 'content-type': 'text/plain' }, mishap.body ?? '');
      return;
    }
    const now = this.#fleet.clock.now();
    if (der === undefined) return refuse(401, 'client.certificate-missing: show a certificate');
    const path = checkPath(
      der,
      [this.#fleet.manufacturing.certificate, this.#fleet.operational.certificate],
      [this.#fleet.root.certificate],
      { now, extKeyUsage: 'clientAuth' },
    );
    if (!path.ok) return refuse(401, `client.certificate-refused: ${path.rule}`);
    const device = deviceIdOf(readCertificate(der).san) ?? '';
    // A double of serve's route, by the contract of docs/agent.md.
    if (request.url === '/api/v1/device/uptake') {
      this.uptake.set(device, JSON.parse(body));
      response.writeHead(204).end();
      return;
    }
    if (request.url === '/api/v1/device/renewal-info') {
      send(200, { 'content-type': 'application/json' }, JSON.stringify(this.renewalInfo));
      return;
    }
    const ldevid = path.chain[1]?.subject.rdns[0]?.value;
    if (request.url?.endsWith('simplereenroll') && ldevid !== 'Test Operational CA')
      return refuse(403, 'est.reenrol: not an LDevID');
    const ended = this.#lastEnd.get(device);
    if (
      request.url?.endsWith('simpleenroll') &&
      ended !== undefined &&
      now.getTime() > ended + this.graceSeconds * 1000
    ) {
      return refuse(403, 'device.grace-ended: the grace period is over');
    }
    if (request.headers['content-type'] !== 'application/pkcs10')
      return refuse(415, 'request.content-type: application/pkcs10');
    const csr = fromBase64(body);
    if (deviceIdOf(parseCsr(csr).requested.subjectAltName ?? []) !== device)
      return refuse(403, 'csr.subject-mismatch: not you');
    const id = toBase64(csr);
    const certificates =
      this.issued.get(id) ??
      deviceCertificate(this.#fleet, 'ldevid', csr, { seconds: this.lifetimeSeconds, ocspUrl: this.ocspUrl });
    this.issued.set(id, certificates);
    const [leaf] = certificates;
    if (leaf !== undefined) this.#lastEnd.set(device, readCertificate(leaf).notAfter.getTime());
    if (mishap?.kind === 'lose the answer') {
      request.socket.destroy();
      return;
    }
    sendCertificates(certificates.slice(0, 1));
  }
}
