import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { JWS_ALGORITHMS, type JwsAlgorithm, type PublicJwk, publicJwk, verifies } from './jwk.ts';

/** The longest header is one with an RSA-4096 key, under 1 KiB. */
const MOST_HEADER = 8 * 1024;

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/, 'must be base64url without padding');
/** RFC 8555 section 6.2: the flattened form, with nothing unprotected. */
const FlattenedSchema = z.strictObject({
  protected: base64url.min(1).max(MOST_HEADER),
  payload: base64url,
  signature: base64url,
});

const HeaderSchema = z.object({
  alg: z.string().max(64),
  nonce: base64url.max(256).optional(),
  url: z.string().max(2048),
  jwk: z.unknown().optional(),
  kid: z.string().max(2048).optional(),
  b64: z.never().optional(),
  crit: z.never().optional(),
});

/** A JWS whose form was checked. Its signature was not: {@link requireSignature} does that. */
export interface Jws {
  readonly algorithm: string;
  readonly nonce: string | undefined;
  readonly url: string;
  /** Exactly one of the two is there. */
  readonly jwk: unknown;
  readonly kid: string | undefined;
  /** The payload's bytes; empty for POST-as-GET. */
  readonly payload: Uint8Array;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** As it came, for what is kept of it. */
  readonly document: string;
}

const malformed = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('acme.malformed', { field, seen, cause });

/**
 * Reads a JWS in its flattened JSON form. Verifies nothing.
 * @throws KeysteadError `acme.malformed` with the field, for anything else, also base64url that is not the one spelling
 *   of its bytes, header fields that RFC 8555 does not want, both or neither of `jwk` and `kid`.
 */
export function parseJws(value: unknown): Jws {
  const flattened = checked(FlattenedSchema, value, 'JWS');
  const header = checked(HeaderSchema, json(bytesOf(flattened.protected, 'protected'), 'protected'), 'protected');
  if ((header.jwk === undefined) === (header.kid === undefined)) {
    throw malformed('protected', header.kid === undefined ? 'neither jwk nor kid' : 'both jwk and kid');
  }
  return {
    algorithm: header.alg,
    nonce: header.nonce,
    url: header.url,
    jwk: header.jwk,
    kid: header.kid,
    payload: bytesOf(flattened.payload, 'payload'),
    signed: Buffer.from(`${flattened.protected}.${flattened.payload}`, 'ascii'),
    signature: bytesOf(flattened.signature, 'signature'),
    document: JSON.stringify(flattened),
  };
}

/** The JSON text of a request body. @throws KeysteadError `acme.malformed`. */
export function parseJwsBody(body: unknown): Jws {
  if (!(body instanceof Uint8Array)) throw malformed('body', 'nothing');
  return parseJws(json(body, 'body'));
}

/** The algorithm of a request, which must be one that signs. @throws KeysteadError `acme.bad-signature-algorithm`. */
export function requireAlgorithm({ algorithm }: Jws): JwsAlgorithm {
  const known = JWS_ALGORITHMS.find((one) => one === algorithm);
  if (known !== undefined) return known;
  throw new KeysteadError('acme.bad-signature-algorithm', {
    field: 'alg',
    seen: JSON.stringify(algorithm.slice(0, 40)),
  });
}

/**
 * That `key` signed it, by the algorithm that the key has and the header names.
 * @throws KeysteadError `acme.bad-signature-algorithm`, `acme.signature-invalid`.
 */
export function requireSignature(jws: Jws, key: PublicJwk): void {
  const algorithm = requireAlgorithm(jws);
  if (algorithm !== key.algorithm) {
    throw new KeysteadError('acme.bad-signature-algorithm', {
      field: 'alg',
      seen: `${algorithm}, for a key of ${key.algorithm}`,
    });
  }
  if (!verifies(key, jws.signed, jws.signature))
    throw new KeysteadError('acme.signature-invalid', { field: 'signature' });
}

/** The key in the header. @throws KeysteadError `acme.malformed` where there is a kid, `acme.bad-public-key`. */
export function headerKey({ jwk, kid }: Jws): PublicJwk {
  if (kid !== undefined) throw malformed('protected', 'kid, where jwk is needed');
  return publicJwk(jwk);
}

/** The payload as a JSON value. @throws KeysteadError `acme.malformed`. */
export const payloadJson = ({ payload }: Jws): unknown => json(payload, 'payload');

const utf8 = new TextDecoder('utf-8', { fatal: true });

function json(bytes: Uint8Array, field: string): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    throw malformed(field, 'not JSON in UTF-8', cause);
  }
}

/** A value in the form of `schema`. @throws KeysteadError `acme.malformed` with the first field that is wrong. */
export function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw malformed([what, ...(issue?.path ?? [])].join('.').slice(0, 80), issue?.message.slice(0, 200) ?? 'malformed');
}

/** @throws KeysteadError `acme.malformed` for text that is not what its bytes are written as. */
export function bytesOf(text: string, field: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text) throw malformed(field, 'another spelling of base64url');
  return new Uint8Array(bytes);
}
