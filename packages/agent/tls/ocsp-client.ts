import { Agent, request } from 'node:http';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, randomBytes } from '@keystead/core/crypto';
import { buildOcspRequest, readCertificate, readOcspResponse } from '@keystead/core/x509';

/** What is known about a certificate, and since when. */
export type Revocation =
  | { readonly status: 'good' }
  | { readonly status: 'revoked'; readonly revokedAt: Date; readonly reason?: string }
  /** The responder's signed word: it does not know the certificate. */
  | { readonly status: 'unknown' }
  /** No answer that verifies could be had, and none from within the tolerated window. */
  | { readonly status: 'unavailable'; readonly why: string };

/** Where `verifyPeer` learns of a peer's status. */
export interface StatusSource {
  /** The status of `certificate`, which `issuer` signed. Never throws. */
  status(certificate: DerCertificate, issuer: DerCertificate): Promise<Revocation>;
}

/** For who relies on stapled answers alone: whatever is not stapled is of no known status. */
export const STAPLED_ONLY: StatusSource = {
  status: () => Promise.resolve({ status: 'unavailable', why: 'no answer was stapled, and no responder is asked' }),
};

export interface OcspOptions {
  readonly clock: Clock;
  /** The responder's URL for a certificate; by default the one that the certificate names (RFC 5280 section 4.2.2.1). */
  readonly responderOf?: (certificate: DerCertificate) => string | undefined;
  /** How long an answer is used again without asking, milliseconds; default 0. */
  readonly cacheMs?: number;
  /**
   * The tolerated window, milliseconds: how old the last 'good' may be when the responder cannot be reached.
   * Default 0: no answer, no trust.
   */
  readonly tolerateMs?: number;
  /** How long to wait for an answer, milliseconds; default 2000. */
  readonly timeoutMs?: number;
  /** Whether to send a nonce (RFC 9654), so that an older answer cannot be played back; default true. */
  readonly nonce?: boolean;
  /** Sends the request and returns the answer, both DER; by default HTTP POST (RFC 6960 appendix A.1). */
  readonly post?: (url: string, body: Uint8Array) => Promise<Uint8Array>;
}

interface Known {
  readonly revocation: Revocation;
  readonly askedAt: number;
  /** nextUpdate of the answer. */
  readonly until: number;
}

/** Most answers kept; the oldest are dropped first, so that strangers cannot fill the memory. */
const MOST_KEPT = 10_000;

/**
 * Asks an OCSP responder, remembers briefly, and says 'unavailable' rather than guess.
 *
 * REQ-KEY-REV-03: the source of a peer's status.
 */
export class OcspClient implements StatusSource {
  readonly #options: OcspOptions;
  readonly #post: (url: string, body: Uint8Array) => Promise<Uint8Array>;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16, timeout: 30_000 });
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Revocation>>();

  constructor(options: OcspOptions) {
    this.#options = options;
    this.#post = options.post ?? ((url, body) => postOcsp(url, body, this.#agent, options.timeoutMs ?? 2000));
  }

  /**
   * The status of `certificate`, which `issuer` signed. Never throws.
   * @param cacheMs how old an answer may be this time, milliseconds; by default as the options say.
   */
  async status(
    certificate: DerCertificate,
    issuer: DerCertificate,
    cacheMs = this.#options.cacheMs ?? 0,
  ): Promise<Revocation> {
    const id = certSha256(certificate);
    const now = this.#options.clock.now().getTime();
    const known = this.#known.get(id);
    // An age below zero means that the clock went back: then nothing is known about the age.
    const age = known === undefined ? -1 : now - known.askedAt;
    if (known !== undefined && age >= 0 && age < cacheMs && now < known.until) return known.revocation;
    const asking = this.#asking.get(id);
    if (asking !== undefined) return asking;
    const asked = this.#ask(certificate, issuer, now)
      .then((known) => {
        this.#remember(id, known);
        return known.revocation;
      })
      .catch((error: unknown): Revocation => {
        const last = this.#known.get(id);
        const window = this.#options.tolerateMs ?? 0;
        if (last?.revocation.status === 'revoked') return last.revocation;
        if (last?.revocation.status === 'good' && now >= last.askedAt && now - last.askedAt <= window)
          return last.revocation;
        return { status: 'unavailable', why: error instanceof Error ? error.message : 'no answer' };
      })
      .finally(() => this.#asking.delete(id));
    this.#asking.set(id, asked);
    return asked;
  }

  /** Ends kept connections to responders. */
  close(): void {
    this.#agent.destroy();
  }

  async #ask(certificate: DerCertificate, issuer: DerCertificate, askedAt: number): Promise<Known> {
    const url = (this.#options.responderOf ?? responderInCertificate)(certificate);
    if (url === undefined) throw new Error('the certificate names no OCSP responder');
    const { serial } = readCertificate(certificate);
    const nonce = this.#options.nonce === false ? undefined : randomBytes(32);
    const answer = await this.#post(url, buildOcspRequest({ issuer, serial, nonce }));
    const said = readOcspResponse(answer, { issuer, serial, now: new Date(askedAt), nonce });
    const until = said.nextUpdate.getTime();
    if (said.status !== 'revoked') return { revocation: { status: said.status }, askedAt, until };
    const { revokedAt = said.thisUpdate, reason } = said;
    return { revocation: { status: 'revoked', revokedAt, reason }, askedAt, until };
  }

  #remember(id: string, known: Known): void {
    this.#known.delete(id);
    this.#known.set(id, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KEPT && oldest !== undefined) this.#known.delete(oldest);
  }
}

/** The first http OCSP URL in a certificate's authority information access; undefined when there is none. */
export function responderInCertificate(certificate: DerCertificate): string | undefined {
  return readCertificate(certificate).ocspUrls.find((url) => url.startsWith('http://'));
}

/** An OCSP answer is some two thousand bytes with its responder's certificate. */
const LARGEST_ANSWER = 64 * 1024;

/** Sends an OCSPRequest by HTTP POST (RFC 6960 appendix A.1). @throws Error when no answer comes. */
export function postOcsp(
  url: string,
  body: Uint8Array,
  agent: Agent | undefined,
  timeoutMs: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/ocsp-request', 'content-length': body.length };
    const sent = request(
      url,
      { method: 'POST', ...(agent === undefined ? {} : { agent }), headers, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        const parts: Buffer[] = [];
        let length = 0;
        response.on('data', (part: Buffer) => {
          length += part.length;
          if (length > LARGEST_ANSWER) response.destroy(new Error('the OCSP answer is too large'));
          else parts.push(part);
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(parts));
          else reject(new Error(`the OCSP responder answered ${response.statusCode}`));
        });
      },
    );
    sent.on('error', (cause) => reject(new Error('the OCSP responder cannot be reached', { cause })));
    sent.end(body);
  });
}
