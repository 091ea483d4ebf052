import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Serial } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  type CertStatus,
  ocspError,
  ocspResponse,
  parseOcspRequest,
  responderKeyHash,
  tbsOcspResponse,
} from '@keystead/core/x509';
import type { TestCa } from './test-ca.ts';

/** An OCSP responder that a test steers: the CA signs itself, with the nonce, for five seconds. */
export class TestResponder {
  readonly statuses = new Map<Serial, CertStatus>();
  /** 'good' for a serial that is not in `statuses`. */
  otherwise: CertStatus = { status: 'good' };
  mode: 'answer' | 'fail' | 'silent' | 'replay' = 'answer';
  asked = 0;
  #last: Uint8Array | undefined;
  readonly #server: Server;

  constructor(ca: TestCa, clock: Clock) {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        this.asked += 1;
        if (this.mode === 'silent') return;
        if (this.mode === 'fail') {
          response.end(ocspError('tryLater'));
          return;
        }
        if (this.mode === 'replay' && this.#last !== undefined) {
          response.end(this.#last);
          return;
        }
        const { certIds, nonce } = parseOcspRequest(Buffer.concat(parts));
        const now = clock.now();
        const nextUpdate = new Date(now.getTime() + 5000);
        const tbs = tbsOcspResponse({
          responderKeyHash: responderKeyHash(ca.certificate),
          producedAt: now,
          responses: certIds.map((certId) => ({
            certId,
            status: this.statuses.get(certId.serial) ?? this.otherwise,
            thisUpdate: now,
            nextUpdate,
          })),
          nonce,
        });
        this.#last = ocspResponse(tbs, 'ecdsa-with-SHA256', ca.sign(tbs), []);
        response.setHeader('content-type', 'application/ocsp-response');
        response.end(this.#last);
      });
    });
  }

  static async start(ca: TestCa, clock: Clock): Promise<TestResponder> {
    const responder = new TestResponder(ca, clock);
    await responder.listen();
    return responder;
  }

  /** @param port 0 for any; a fixed one to come back after `stop`. */
  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ocsp`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
