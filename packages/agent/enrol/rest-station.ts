import { type DerCertificate, type DerCsr, fromBase64, fromPem, toBase64, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { connectMutual, HttpOverTls, type TlsIdentity } from '../tls/index.ts';
import type { ShownTpm } from '../tpm/index.ts';
import type { AttestingStation, StationChallenge } from './attested.ts';
import type { StationAnswer } from './provision.ts';
import { codeIn, readable } from './refusal-text.ts';

export interface RestStationOptions {
  /** `https://host:port` of the server. */
  readonly url: string;
  readonly clock: Clock;
  /** The pinned anchors that the server's certificate must chain to, DER. */
  readonly anchors: readonly DerCertificate[];
  /** The station's own certificate and key: those of an operator who may provision units. */
  readonly identity: TlsIdentity;
  readonly ticketId: string;
  readonly line: string;
  /** The unit at the station now. */
  readonly deviceId: string;
  /** For connecting, and again for the answer, milliseconds; default 10000. */
  readonly timeoutMs?: number;
}

/** A refusal by the server, with its own words. */
export class StationRefusal extends KeysteadError {
  /** The HTTP status. */
  readonly status: number;
  /** The server's stable code, such as `attestation.required`; undefined when it sent none. */
  readonly serverCode: string | undefined;

  constructor(path: string, status: number, body: Uint8Array) {
    const text = readable(body);
    super('station.refused', { field: path, seen: `${status} ${text}` });
    this.status = status;
    this.serverCode = codeIn(text);
  }
}

/**
 * A station that provisions one unit over the server's REST interface. It runs where the operator's key is: at the
 * station, with the device at its other side, or in a device that is its own station.
 *
 * Every method throws KeysteadError: peer.unreachable, peer.refused (the server is not who it must be),
 * station.bad-answer, or StationRefusal with the server's code and text.
 */
export class RestStation implements AttestingStation {
  readonly #options: RestStationOptions;

  constructor(options: RestStationOptions) {
    this.#options = options;
  }

  async challenge(shown: ShownTpm): Promise<StationChallenge> {
    const { ekCertificate, ekPublic, akPublic, keyPublic, statement } = shown;
    const answer = await this.#post('/api/v1/attestations', {
      ...(ekCertificate === undefined ? {} : { ekCertificate: toBase64(ekCertificate) }),
      ekPublic: toBase64(ekPublic),
      akPublic: toBase64(akPublic),
      keyPublic: toBase64(keyPublic),
      attest: toBase64(statement.attest),
      signature: toBase64(statement.signature),
    });
    const credential = {
      idObject: bytesOf(answer, 'idObject'),
      encryptedSecret: bytesOf(answer, 'encryptedSecret'),
    };
    return { challengeId: textOf(answer, 'challengeId'), credential };
  }

  async provision(
    csr: DerCsr,
    { challengeId, secret }: { readonly challengeId: string; readonly secret: SecretBytes },
  ): Promise<StationAnswer> {
    const answer = await this.#post('/api/v1/units', {
      csr: toPem('CERTIFICATE REQUEST', csr),
      // Good for this one challenge and worth nothing once it is answered.
      attestation: { challengeId, secret: secret.use(toBase64) },
    });
    const [certificate] = fromPem('CERTIFICATE', textOf(answer, 'certificate'));
    if (certificate === undefined) throw badAnswer('certificate');
    const chain = fromPem('CERTIFICATE', textOf(answer, 'chain')) as DerCertificate[];
    return { certificate: certificate as DerCertificate, chain };
  }

  async #post(path: string, body: Record<string, unknown>): Promise<unknown> {
    const { url, clock, anchors, identity, timeoutMs, ticketId, line, deviceId } = this.#options;
    const { hostname, port } = new URL(url);
    const host = hostname.replace(/^\[|\]$/g, '');
    const to = { host, port: port === '' ? 443 : Number(port), timeoutMs };
    const http = new HttpOverTls(
      await connectMutual(to, identity, { clock, anchors }),
      `${host}:${to.port}`,
      timeoutMs,
    );
    try {
      const sent = Buffer.from(JSON.stringify({ ticketId, deviceId, line, ...body }), 'utf8');
      const answer = await http.send({ method: 'POST', path, contentType: 'application/json', body: sent });
      if (answer.status !== 200) throw new StationRefusal(path, answer.status, answer.body);
      return JSON.parse(Buffer.from(answer.body).toString('utf8')) as unknown;
    } catch (error) {
      if (error instanceof SyntaxError) throw badAnswer(path);
      throw error;
    } finally {
      http.close();
    }
  }
}

const badAnswer = (field: string): KeysteadError => new KeysteadError('station.bad-answer', { field });

function textOf(answer: unknown, field: string): string {
  const value: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, field) : undefined;
  if (typeof value === 'string') return value;
  throw badAnswer(field);
}

function bytesOf(answer: unknown, field: string): Uint8Array {
  try {
    return fromBase64(textOf(answer, field));
  } catch {
    throw badAnswer(field);
  }
}
