import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import type { AcmeBed } from './bed.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

/** A key with which a test signs requests. */
export interface RawKey {
  readonly privateKey: KeyObject;
  readonly jwk: Record<string, unknown>;
  readonly alg: string;
}

const b64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export function rawKey(kind: 'ES256' | 'ES384' | 'EdDSA' | 'RS256' = 'ES256'): RawKey {
  const { privateKey, publicKey } =
    kind === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : kind === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('ec', { namedCurve: kind === 'ES256' ? 'P-256' : 'P-384' });
  return { privateKey, jwk: publicKey.export({ format: 'jwk' }) as Record<string, unknown>, alg: kind };
}

/** The flattened JWS of RFC 7515, with whatever header a test wants. */
export function jwsOf(header: Record<string, unknown>, payload: unknown, key: RawKey): Record<string, string> {
  const [head, content] = [b64(header), payload === undefined ? '' : b64(payload)];
  const data = Buffer.from(`${head}.${content}`);
  const hash = key.alg === 'EdDSA' ? null : key.alg === 'ES384' ? 'sha384' : 'sha256';
  const signature = sign(hash, data, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return { protected: head, payload: content, signature: signature.toString('base64url') };
}

/** RFC 8555 section 7.3.4. */
export function bindingOf(
  v: { id: string; secret: string },
  key: RawKey,
  url: string,
  header: Record<string, unknown> = {},
): Record<string, string> {
  const head = b64({ alg: 'HS256', kid: v.id, url, ...header });
  const payload = b64(key.jwk);
  const mac = createHmac('sha256', Buffer.from(v.secret, 'base64url')).update(`${head}.${payload}`).digest('base64url');
  return { protected: head, payload, signature: mac };
}

/** RFC 7638. */
export function thumbprintOf({ jwk }: RawKey): string {
  const { crv, e, kty, n, x, y } = jwk;
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'OKP' ? { crv, kty, x } : { crv, kty, x, y };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

/** Speaks ACME byte by byte, for what no well-behaved client says. */
export class RawClient {
  readonly bed: Pick<AcmeBed, 'origin' | 'root'>;
  key: RawKey;
  kid: string | undefined;
  /** The last nonce that an answer brought. */
  nonce: string | undefined;
  readonly #ca: string;

  /** @param bed where the server is, and its root as a file. */
  constructor(bed: Pick<AcmeBed, 'origin' | 'root'>, key: RawKey = rawKey()) {
    this.bed = bed;
    this.key = key;
    this.#ca = readFileSync(bed.root, 'utf8');
  }

  url(path: string): string {
    return `${this.bed.origin}/acme/${path}`;
  }

  async send(method: string, url: string, body?: string, type = 'application/jose+json'): Promise<RawAnswer> {
    const headers = body === undefined ? {} : { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) };
    const answer = await new Promise<RawAnswer>((resolve, reject) => {
      const sent = request(url, { method, ca: this.#ca, agent: false, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8');
          const json = /json/.test(response.headers['content-type'] ?? '');
          const parsed = json && text !== '' ? (JSON.parse(text) as Record<string, unknown>) : {};
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parsed });
        });
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
    const nonce = answer.headers['replay-nonce'];
    if (typeof nonce === 'string') this.nonce = nonce;
    return answer;
  }

  async freshNonce(): Promise<string> {
    this.nonce = undefined;
    await this.send('HEAD', this.url('new-nonce'));
    assert.ok(this.nonce);
    return this.nonce;
  }

  /** A signed request. `header` overrides what a good one has; a member that is undefined is left out. */
  async post(
    pathOrUrl: string,
    payload?: unknown,
    header: Record<string, unknown> = {},
    key: RawKey = this.key,
  ): Promise<RawAnswer> {
    const url = pathOrUrl.startsWith('https:') ? pathOrUrl : this.url(pathOrUrl);
    const nonce = this.nonce ?? (await this.freshNonce());
    this.nonce = undefined;
    const who = this.kid === undefined ? { jwk: key.jwk } : { kid: this.kid };
    const whole = Object.fromEntries(
      Object.entries({ alg: key.alg, nonce, url, ...who, ...header }).filter(([, value]) => value !== undefined),
    );
    return this.send('POST', url, JSON.stringify(jwsOf(whole, payload, key)));
  }

  async register(
    authorisation: { id: string; secret: string },
    more: Record<string, unknown> = {},
  ): Promise<RawAnswer> {
    this.kid = undefined;
    const externalAccountBinding = bindingOf(authorisation, this.key, this.url('new-account'));
    const answer = await this.post('new-account', { termsOfServiceAgreed: true, externalAccountBinding, ...more });
    if (answer.status < 300) this.kid = answer.headers.location;
    return answer;
  }

  /** An order, with its authorizations. */
  async order(
    identifiers: { type: string; value: string }[],
    more: Record<string, unknown> = {},
  ): Promise<{
    url: string;
    order: Record<string, unknown>;
    authorizations: { url: string; challenges: Record<string, string>[]; body: Record<string, unknown> }[];
  }> {
    const made = await this.post('new-order', { identifiers, ...more });
    assert.equal(made.status, 201, made.text);
    const authorizations = [];
    for (const url of made.body.authorizations as string[]) {
      const { body } = await this.post(url);
      authorizations.push({ url, body, challenges: body.challenges as Record<string, string>[] });
    }
    return { url: String(made.headers.location), order: made.body, authorizations };
  }

  /** Says that the challenge of a type is ready. */
  async answer(
    authorization: { challenges: Record<string, string>[] },
    type: string,
    payload: unknown = {},
  ): Promise<RawAnswer> {
    const challenge = authorization.challenges.find((one) => one.type === type);
    assert.ok(challenge, `no ${type}`);
    return this.post(challenge.url ?? '', payload);
  }
}

/** The problem's type without its URN, with the status. */
export function problem(answer: RawAnswer): string {
  assert.equal(answer.headers['content-type'], 'application/problem+json', answer.text);
  assert.equal(answer.body.status, answer.status);
  return `${answer.status} ${String(answer.body.type).replace('urn:ietf:params:acme:error:', '')}`;
}
