import type { DerCertificate, DerCsr } from '@keystead/core/bytes';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { KeyAlgorithm } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertsOnly, wantedKeyAlgorithm } from '@keystead/core/x509';
import type { DeviceIdentity } from '../state/index.ts';
import { connectMutual, type HttpAnswer, HttpOverTls, type HttpRequest, type StatusSource } from '../tls/index.ts';
import type { DeviceRules } from '../trust/device-rules.ts';
import { EstRefusal } from './est-error.ts';

export interface EstOptions {
  /** `https://host:port`, with an EST label as path where the server has several (RFC 7030 section 3.2.2). */
  readonly url: string;
  readonly clock: Clock;
  /** The pinned anchors that the server's certificate must chain to, DER. */
  readonly anchors: () => readonly DerCertificate[];
  /** CA certificates below the anchors that the device knows, DER. */
  readonly intermediates?: () => readonly DerCertificate[];
  /** When given, the server's certificate must not be revoked either. */
  readonly ocsp?: StatusSource;
  /** What the trust bundle says of servers, asked at each connection; it takes the place of `anchors`. */
  readonly byBundle?: () => Partial<DeviceRules>;
  /** For connecting, and again for the answer, milliseconds; default 10000. */
  readonly timeoutMs?: number;
}

export type EnrolAnswer =
  /** The certificates of the answer in the server's order; the device's own is among them. */
  | { readonly status: 'issued'; readonly certificates: readonly DerCertificate[] }
  /** The server will decide later: send the same request again after this many seconds (RFC 7030 section 4.2.3). */
  | { readonly status: 'pending'; readonly retryAfterSeconds: number };

const PKCS10 = 'application/pkcs10';
const CERTS_ONLY = 'application/pkcs7-mime';
/** Where the server does not say how long to wait, or says something absurd. */
const DEFAULT_RETRY_SECONDS = 60;
const LONGEST_RETRY_SECONDS = 86_400;

/**
 * The client side of EST: RFC 7030 with the corrections of RFC 8951 (base64 without regard to
 * Content-Transfer-Encoding). Each operation opens one TLS 1.3 connection, judges the server against the pinned
 * anchors, and only then sends.
 *
 * Every method throws KeysteadError: peer.unreachable, peer.refused (the server is not who it must be),
 * est.malformed, or EstRefusal with the server's code and text.
 */
export class EstClient {
  readonly #options: EstOptions;
  readonly #host: string;
  readonly #port: number;
  readonly #base: string;

  constructor(options: EstOptions) {
    const url = new URL(options.url);
    if (url.protocol !== 'https:') throw new KeysteadError('est.malformed', { field: 'url', seen: options.url });
    this.#options = options;
    this.#host = url.hostname.replace(/^\[|\]$/g, '');
    this.#port = url.port === '' ? 443 : Number(url.port);
    this.#base = `/.well-known/est${url.pathname.replace(/\/$/, '')}`;
  }

  /**
   * The CA certificates of the server (RFC 7030 section 4.1). They are information, not trust: the anchors
   * stay those that are pinned.
   */
  async caCertificates(identity?: DeviceIdentity): Promise<DerCertificate[]> {
    return readCertificates('cacerts', await this.#send('cacerts', identity, { method: 'GET' }));
  }

  /**
   * The kind of key that the server would have in a request (RFC 7030 section 4.5); undefined where it does not say. A
   * server without this operation answers 204 or 404. Throws `csr.attributes-malformed` besides.
   */
  async wantedKey(identity?: DeviceIdentity): Promise<KeyAlgorithm | undefined> {
    const answer = await this.#send('csrattrs', identity, { method: 'GET' }, [200, 204, 404]);
    if (answer.status !== 200) return undefined;
    let der: Uint8Array;
    try {
      der = fromBase64(Buffer.from(answer.body).toString('latin1'));
    } catch (cause) {
      throw new KeysteadError('est.malformed', { field: 'csrattrs', seen: 'a body that is no base64', cause });
    }
    return wantedKeyAlgorithm(der);
  }

  /** Asks for a certificate, authenticated by `identity`, such as the IDevID (RFC 7030 section 4.2.1). */
  enrol(identity: DeviceIdentity, csr: DerCsr): Promise<EnrolAnswer> {
    return this.#enrol('simpleenroll', identity, csr);
  }

  /** Asks for the certificate that follows the one of `identity` (RFC 7030 section 4.2.2). */
  reenrol(identity: DeviceIdentity, csr: DerCsr): Promise<EnrolAnswer> {
    return this.#enrol('simplereenroll', identity, csr);
  }

  async #enrol(operation: string, identity: DeviceIdentity, csr: DerCsr): Promise<EnrolAnswer> {
    const body = Buffer.from(toBase64(csr).replace(/.{64}/g, '$&\r\n'), 'latin1');
    const answer = await this.#send(operation, identity, { method: 'POST', contentType: PKCS10, body });
    if (answer.status === 202) {
      return { status: 'pending', retryAfterSeconds: retryAfter(answer, this.#options.clock.now()) };
    }
    return { status: 'issued', certificates: readCertificates(operation, answer) };
  }

  async #send(
    operation: string,
    identity: DeviceIdentity | undefined,
    wanted: Omit<HttpRequest, 'path'>,
    expected: readonly number[] = [200, 202],
  ): Promise<HttpAnswer> {
    const { clock, anchors, intermediates, ocsp, byBundle, timeoutMs } = this.#options;
    const socket = await connectMutual({ host: this.#host, port: this.#port, timeoutMs }, identity, {
      clock,
      anchors: anchors(),
      intermediates: intermediates?.() ?? [],
      ocsp,
      ...byBundle?.(),
    });
    const http = new HttpOverTls(socket, `${this.#host}:${this.#port}`, timeoutMs);
    try {
      const answer = await http.send({ ...wanted, path: `${this.#base}/${operation}` });
      if (!expected.includes(answer.status)) throw new EstRefusal(operation, answer.status, answer.body);
      return answer;
    } finally {
      http.close();
    }
  }
}

/** Retry-After: seconds or an HTTP date (RFC 9110 section 10.2.3). */
function retryAfter(answer: HttpAnswer, now: Date): number {
  const value = answer.headers['retry-after'] ?? '';
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now.getTime()) / 1000);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, LONGEST_RETRY_SECONDS) : DEFAULT_RETRY_SECONDS;
}

function readCertificates(operation: string, answer: HttpAnswer): DerCertificate[] {
  const malformed = (seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('est.malformed', { field: operation, seen, cause });
  const type = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (answer.status !== 200) throw malformed(`status ${answer.status}`);
  if (type !== CERTS_ONLY) throw malformed(`content type ${type}`);
  try {
    return readCertsOnly(fromBase64(Buffer.from(answer.body).toString('latin1')));
  } catch (cause) {
    throw malformed('a body that is no base64 certs-only message', cause);
  }
}
