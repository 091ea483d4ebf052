import type { Server, TLSSocket } from 'node:tls';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { buildOcspRequest, readCertificate, readOcspResponse } from '@keystead/core/x509';
import { postOcsp, responderInCertificate } from './ocsp-client.ts';

export interface StaplerOptions {
  readonly clock: Clock;
  /** The server's own certificate and the CA certificate that signed it. */
  readonly certificate: DerCertificate;
  readonly issuer: DerCertificate;
  /** By default the one that the certificate names. */
  readonly url?: string;
  readonly post?: (url: string, body: Uint8Array) => Promise<Uint8Array>;
}

/**
 * Staples the server's own OCSP answer to its handshakes (RFC 6066 section 8), so that clients need not reach the
 * responder. The answer is asked for again in the second half of its time; one that ended, or that says anything but
 * 'good', is not stapled: the client asks for itself.
 * REQ-KEY-REV-03
 */
export class OcspStapler {
  readonly #options: StaplerOptions;
  #answer: { readonly der: Buffer; readonly from: number; readonly until: number } | undefined;
  #asking: Promise<void> | undefined;

  constructor(options: StaplerOptions) {
    this.#options = options;
  }

  /** Answers the handshakes of `server` from now on. */
  attach(server: Server): void {
    server.on('OCSPRequest', (_certificate, _issuer, done: (error: Error | null, answer?: Buffer) => void) => {
      void this.current().then((answer) => done(null, answer));
    });
  }

  /** The answer to staple, DER; undefined when there is none. Never throws. */
  async current(): Promise<Buffer | undefined> {
    const now = this.#options.clock.now().getTime();
    const answer = this.#answer;
    const ended = answer === undefined || now >= answer.until || now < answer.from - 60_000;
    if (ended || now - answer.from > (answer.until - answer.from) / 2) {
      this.#asking ??= this.#ask(now).finally(() => {
        this.#asking = undefined;
      });
      // While an answer is still in its time, no handshake waits for the next one.
      if (ended) await this.#asking;
    }
    const held = this.#answer;
    return held !== undefined && now < held.until ? held.der : undefined;
  }

  async #ask(now: number): Promise<void> {
    const { certificate, issuer, post = (url, body) => postOcsp(url, body, undefined, 2000) } = this.#options;
    try {
      const url = this.#options.url ?? responderInCertificate(certificate);
      if (url === undefined) return;
      const { serial } = readCertificate(certificate);
      const der = await post(url, buildOcspRequest({ issuer, serial }));
      const said = readOcspResponse(der, { issuer, serial, now: new Date(now) });
      if (said.status !== 'good') this.#answer = undefined;
      else this.#answer = { der: Buffer.from(der), from: said.thisUpdate.getTime(), until: said.nextUpdate.getTime() };
    } catch {
      // The last one is stapled for as long as it lives.
    }
  }
}

/** The OCSP answer that the server stapled to this handshake; call before `secureConnect`, with `requestOCSP` set. */
export function stapledAnswer(socket: TLSSocket): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    let stapled: Uint8Array | undefined;
    socket.once('OCSPResponse', (answer: Buffer | null) => {
      if (answer !== null && answer.length > 0) stapled = new Uint8Array(answer);
    });
    socket.once('secureConnect', () => resolve(stapled));
    socket.once('close', () => resolve(undefined));
  });
}
