import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import type { WorkloadIssuer } from '../files/workload-settings.ts';

/** A CI system's job, as its token proves it. */
export interface Workload {
  /** The claim `sub` with the issuer's host: unique, and printable. */
  readonly id: string;
  /** For which it may submit. */
  readonly products: readonly string[];
}

/** Signatures that tokens may have: none that a shared secret could make. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];
/** The longest token, characters. */
const MOST_TOKEN = 16_384;
/** The longest life of a token: it is made for one job. */
const MOST_LIFE_SECONDS = 24 * 3600;
/** An issuer's clock may be ahead or behind by this much. */
const SKEW_SECONDS = 60;
/** How long fetched keys are good, and how soon they are fetched again for a key that they do not have. */
const KEYS_GOOD_MS = 10 * 60_000;
const KEYS_AGAIN_MS = 30_000;
const FETCH_TIMEOUT_MS = 5_000;
const MOST_JWKS_BYTES = 256 * 1024;
const MOST_SUBJECT = 256;

/**
 * Who submits without a certificate: a token of an OpenID Connect issuer (RFC 7519, RFC 7523) that the configuration
 * believes, for this service, in force, with the claims of a grant. It is good for submitting, and approves nothing.
 */
export class Workloads {
  readonly #issuers: readonly Issuer[];
  readonly #clock: Clock;

  /** @param directory where the paths of key files begin. */
  constructor(settings: readonly WorkloadIssuer[], clock: Clock, directory = '.') {
    this.#clock = clock;
    this.#issuers = settings.map((one) => new Issuer(one, clock, directory));
  }

  /** @throws KeysteadError `signing.workload` with what is wrong; never a part of the token's signature. */
  async identify(token: string): Promise<Workload> {
    if (token.length > MOST_TOKEN) throw unbelieved('token', `${token.length} characters`);
    const issuer = this.#issuers.find(({ settings }) => settings.issuer === issuerIn(token));
    if (issuer === undefined) throw unbelieved('iss', issuerIn(token).slice(0, MOST_SUBJECT));
    const claims = await issuer.verified(token, this.#clock.now());
    const { iat, exp, sub } = claims;
    if (typeof sub !== 'string' || sub.length === 0 || sub.length > MOST_SUBJECT)
      throw unbelieved('sub', 'no name of at most 256 characters');
    if (iat === undefined || exp === undefined || exp - iat > MOST_LIFE_SECONDS)
      throw unbelieved('exp', 'a life of more than a day');
    const products = issuer.settings.grants
      .filter((grant) => Object.entries(grant.claims).every(([name, value]) => own(claims, name) === value))
      .flatMap((grant) => grant.products);
    if (products.length === 0) throw unbelieved('claims', `no grant is for ${printable(sub)}`);
    return { id: `${new URL(issuer.settings.issuer).host}/${printable(sub)}`, products: [...new Set(products)] };
  }
}

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** One issuer and its keys. */
class Issuer {
  readonly settings: WorkloadIssuer;
  readonly #clock: Clock;
  readonly #directory: string;
  #keys: { readonly set: KeySet; readonly at: number } | undefined;
  #fetching: Promise<KeySet> | undefined;

  constructor(settings: WorkloadIssuer, clock: Clock, directory: string) {
    this.settings = settings;
    this.#clock = clock;
    this.#directory = directory;
  }

  /** @throws KeysteadError `signing.workload`, `service.unreachable` where its keys cannot be fetched. */
  async verified(token: string, currentDate: Date): Promise<JWTPayload> {
    const { issuer, audience } = this.settings;
    const rules = {
      ...{ issuer, audience, currentDate, algorithms: ALGORITHMS, clockTolerance: SKEW_SECONDS },
      requiredClaims: ['sub', 'iat', 'exp'],
      maxTokenAge: MOST_LIFE_SECONDS,
    };
    try {
      try {
        return (await jwtVerify(token, await this.#keySet(KEYS_GOOD_MS), rules)).payload;
      } catch (error) {
        // The issuer may have a new key since.
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        return (await jwtVerify(token, await this.#keySet(KEYS_AGAIN_MS), rules)).payload;
      }
    } catch (error) {
      if (error instanceof errors.JWTClaimValidationFailed) throw unbelieved(error.claim, error.reason, error);
      if (error instanceof errors.JWTExpired) throw unbelieved('exp', 'it has ended', error);
      if (error instanceof errors.JOSEError) throw unbelieved('token', error.code, error);
      throw error;
    }
  }

  async #keySet(maxAgeMs: number): Promise<KeySet> {
    const now = this.#clock.now().getTime();
    if (this.#keys !== undefined && now - this.#keys.at < maxAgeMs) return this.#keys.set;
    this.#fetching ??= this.#load().finally(() => {
      this.#fetching = undefined;
    });
    const set = await this.#fetching;
    this.#keys = { set, at: now };
    return set;
  }

  async #load(): Promise<KeySet> {
    const { jwksFile, jwksUrl } = this.settings;
    const field = jwksUrl ?? jwksFile ?? '';
    try {
      const text =
        jwksUrl === undefined ? readFileSync(resolve(this.#directory, field), 'utf8') : await fetched(jwksUrl);
      return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
    } catch (cause) {
      throw new KeysteadError('service.unreachable', { field, seen: 'no key set of the issuer', cause });
    }
  }
}

/** A small document, without redirects, in bounded time and memory. */
async function fetched(url: string): Promise<string> {
  const answer = await fetch(url, {
    redirect: 'error',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    headers: { Accept: 'application/json' },
  });
  if (!answer.ok || answer.body === null) throw new Error(`HTTP ${answer.status}`);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer.body) {
    bytes += part.length;
    if (bytes > MOST_JWKS_BYTES) throw new Error(`more than ${MOST_JWKS_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Whose token it says that it is; believed of nothing yet. @throws KeysteadError `signing.workload`. */
function issuerIn(token: string): string {
  try {
    const iss: unknown = decodeJwt(token).iss;
    return typeof iss === 'string' ? iss : '';
  } catch (cause) {
    throw unbelieved('token', 'no JSON Web Token', cause);
  }
}

const own = (claims: JWTPayload, name: string): unknown => (Object.hasOwn(claims, name) ? claims[name] : undefined);

const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');

const unbelieved = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('signing.workload', { field, seen, cause });
