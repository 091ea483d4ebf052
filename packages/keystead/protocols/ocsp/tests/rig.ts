import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import {
  type CaRole,
  type CertStatus,
  ocspResponse,
  parseOcspRequest,
  responderKeyHash,
  tbsOcspResponse,
} from '@keystead/core/x509';
import { makeOcspPki } from '../../../../core/x509/ocsp/tests/responder.ts';
import { CA_EXTENSIONS, type OpensslPki } from '../../../../core/x509/tests/openssl-pki.ts';
import { createOcspHandler, type OcspHandler, OcspResponder, type OcspSigner } from '../index.ts';

/** How long the answers of the rig are good for. */
export const ANSWER_SECONDS = 600;

/**
 * A responder for one CA (`operational`) with certificates that OpenSSL made, over real HTTP. It issued two of them,
 * serials 7a01 (`kept.pem`) and fa02 (`stolen.pem`); its clock and its statuses are for the test to set.
 */
export class OcspRig {
  readonly pki: OpensslPki;
  readonly ca: DerCertificate;
  readonly clock: SimulatedClock;
  readonly statuses = new Map<string, CertStatus>([
    ['7a01', { status: 'good' }],
    ['fa02', { status: 'good' }],
  ]);
  readonly failures: unknown[] = [];
  /** How often keyd signed. */
  signed = 0;
  /** Stands in for keyd when set. */
  signOcsp: OcspSigner['signOcsp'] | undefined;
  readonly handler: OcspHandler;
  readonly server: Server;
  readonly #responder: DerCertificate;
  readonly #listeners = new Set<(issuer: CaRole, serial: Serial) => void>();

  private constructor(cacheBytes: number | undefined) {
    const { pki, ca, responder } = makeOcspPki();
    this.pki = pki;
    this.ca = ca;
    this.#responder = responder;
    pki.issue({ name: 'other', subject: '/CN=Other CA', extensions: CA_EXTENSIONS });
    // After the certificates are made: none of them begins in the next second.
    this.clock = new SimulatedClock(new Date(Math.floor(Date.now() / 1000) * 1000));
    this.handler = createOcspHandler({
      responder: new OcspResponder({
        cas: new Map<CaRole, DerCertificate>([
          ['operational', ca],
          ['server', pki.certificate('other')],
        ]),
        statusOf: (issuer, serial) =>
          (issuer === 'operational' ? this.statuses.get(serial) : undefined) ?? { status: 'unknown' },
        signer: { signOcsp: (params) => (this.signOcsp ?? this.sign)(params) },
      }),
      onStatusChanged: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      clock: this.clock,
      onFailure: (error) => this.failures.push(error),
      cacheBytes,
    });
    this.server = createServer((request, response) => {
      if (!this.handler.handle(request, response)) response.writeHead(418).end();
    });
  }

  static async start(cacheBytes?: number): Promise<OcspRig> {
    const rig = new OcspRig(cacheBytes);
    await new Promise<void>((resolve) => rig.server.listen(0, '127.0.0.1', resolve));
    return rig;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** As the domain does it: the change is made, then told. */
  change(serial: string, status: CertStatus): void {
    this.statuses.set(serial, status);
    for (const listener of this.#listeners) listener('operational', serial as Serial);
  }

  /** As keyd does it. */
  sign: OcspSigner['signOcsp'] = async ({ responses, nonce }) => {
    this.signed += 1;
    const thisUpdate = this.clock.now();
    const nextUpdate = new Date(thisUpdate.getTime() + ANSWER_SECONDS * 1000);
    const signer = this.pki.signer('responder');
    const tbs = tbsOcspResponse({
      responderKeyHash: responderKeyHash(this.#responder),
      producedAt: thisUpdate,
      responses: responses.map(({ certId, status, revokedAt, reason }) => ({
        certId: { der: certId },
        status: status === 'revoked' ? { status, revokedAt: revokedAt ?? thisUpdate, reason } : { status },
        thisUpdate,
        nextUpdate,
      })),
      nonce,
    });
    const response = ocspResponse(tbs, signer.signatureAlgorithm, await signer.sign(tbs), [this.#responder]);
    return { response, thisUpdate, nextUpdate };
  };

  post(body: Uint8Array, role = 'operational', type = 'application/ocsp-request'): Promise<Response> {
    return fetch(`${this.url}/ocsp/${role}`, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: new Uint8Array(body),
    });
  }

  /** A request that OpenSSL makes. */
  request(...args: string[]): Uint8Array {
    this.pki.run('openssl', 'ocsp', ...args, '-reqout', 'rig.req');
    const der = this.pki.read('rig.req');
    parseOcspRequest(der);
    return der;
  }

  async stop(): Promise<void> {
    this.handler.close();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    this.pki.remove();
  }
}

export const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());
