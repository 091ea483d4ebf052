import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type DerSpki, toBase64url } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkPublicKey } from '@keystead/core/x509';
import { z } from 'zod';

/** Signatures of requests (RFC 8555 section 6.2, RFC 7518 section 3.1, RFC 8037). No MAC, no `none`, no SHA-1. */
export const JWS_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'RS256'] as const;
export type JwsAlgorithm = (typeof JWS_ALGORITHMS)[number];

const KEY_ALGORITHMS = ['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'RSA-3072', 'RSA-4096'] as const;
/** The one signature of each kind of key. */
const ALGORITHM_OF: Readonly<Record<(typeof KEY_ALGORITHMS)[number], JwsAlgorithm>> = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  Ed25519: 'EdDSA',
  'RSA-2048': 'RS256',
  'RSA-3072': 'RS256',
  'RSA-4096': 'RS256',
};

const number = z.string().regex(/^[A-Za-z0-9_-]{1,1024}$/, 'must be base64url');
/** What a client adds (`kid`, `use`, `alg`) is passed over; a private or symmetric key is not. */
const notSecret = {
  d: z.never().optional(),
  k: z.never().optional(),
  p: z.never().optional(),
  q: z.never().optional(),
};
const JwkSchema = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('EC'), crv: z.enum(['P-256', 'P-384']), x: number, y: number, ...notSecret }),
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: number, ...notSecret }),
  z.object({ kty: z.literal('RSA'), n: number, e: number, ...notSecret }),
]);

/** A public key from a request: on its curve, of a size that is allowed, not a known or weak one. */
export interface PublicJwk {
  readonly algorithm: JwsAlgorithm;
  readonly key: KeyObject;
  readonly spki: DerSpki;
  /** Its required members in the order of RFC 7638 section 3.2, as JSON: the form that is kept and compared. */
  readonly canonical: string;
  /** RFC 7638 with SHA-256, base64url. */
  readonly thumbprint: string;
}

/** @throws KeysteadError `acme.bad-public-key` with what is wrong. */
export function publicJwk(value: unknown): PublicJwk {
  const parsed = JwkSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const seen = `${issue?.path.join('.') || 'jwk'}: ${issue?.message ?? 'malformed'}`;
    throw new KeysteadError('acme.bad-public-key', { field: 'jwk', seen });
  }
  const jwk = parsed.data;
  try {
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
    const spki = new Uint8Array(key.export({ format: 'der', type: 'spki' })) as DerSpki;
    const algorithm = ALGORITHM_OF[checkPublicKey(spki, KEY_ALGORITHMS)];
    // Out of the key itself: a leading zero or another spelling of the same number makes no second account.
    const { kty, crv, x, y, n, e } = key.export({ format: 'jwk' });
    const canonical = JSON.stringify(
      kty === 'EC' ? { crv, kty, x, y } : kty === 'OKP' ? { crv, kty, x } : { e, kty, n },
    );
    return { algorithm, key, spki, canonical, thumbprint: toBase64url(sha256(Buffer.from(canonical, 'ascii'))) };
  } catch (cause) {
    const seen = cause instanceof KeysteadError ? (cause.seen ?? cause.code) : 'a key that OpenSSL refuses';
    throw new KeysteadError('acme.bad-public-key', { field: 'jwk', seen, cause });
  }
}

/** Whether `signature` is the key's over `data`; ECDSA in the form of JWS, r ‖ s (RFC 7518 section 3.4). */
export function verifies(
  { algorithm, key }: Pick<PublicJwk, 'algorithm' | 'key'>,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const digest = algorithm === 'EdDSA' ? null : algorithm === 'ES384' ? 'sha384' : 'sha256';
  try {
    return verify(digest, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  } catch {
    return false;
  }
}
