import { z } from 'zod';
import { canonicalJson, type DerSpki, type JsonValue, sameBytes, toBase64url } from '../../bytes/index.ts';
import {
  ecdsaNumbers,
  ecdsaSigValue,
  SIGNATURE_OF,
  type Signer,
  spkiSha256,
  verifySignature,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { checkPublicKey } from '../../x509/index.ts';
import { type BundleContent, contentOfJson, jsonOfContent } from './content.ts';
import { SIGNER_ALGORITHMS } from './rules.ts';

/** RFC 7518 section 3.1, RFC 9864. */
const JWS_ALGORITHM = { 'P-256': 'ES256', 'P-384': 'ES384', Ed25519: 'Ed25519' } as const;
const NUMBER_OCTETS = { 'P-256': 32, 'P-384': 48, Ed25519: 0 } as const;
const TYPE = 'keystead-trust-bundle';

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/, 'must be base64url without padding');
const Flattened = z.strictObject({
  protected: base64url.max(1024),
  payload: base64url.max(256 * 1024),
  signature: base64url.max(256),
});

const headerOf = (algorithm: keyof typeof JWS_ALGORITHM, kid: string): string =>
  canonicalJson({ alg: JWS_ALGORITHM[algorithm], kid, typ: TYPE });

/** The same content for people and for tools of the web: a JWS (RFC 7515) in its flattened form, over canonical JSON. */
export async function signBundleJws(content: BundleContent, signer: Signer): Promise<string> {
  const algorithm = algorithmOf(signer.spki);
  const header = toBase64url(Buffer.from(headerOf(algorithm, spkiSha256(signer.spki)), 'utf8'));
  const payload = toBase64url(Buffer.from(canonicalJson(jsonOfContent(content) as JsonValue), 'utf8'));
  const der = await signer.sign(Buffer.from(`${header}.${payload}`, 'ascii'));
  const octets = NUMBER_OCTETS[algorithm];
  const signature = toBase64url(octets === 0 ? der : ecdsaNumbers(der, octets));
  return `${JSON.stringify({ protected: header, payload, signature })}\n`;
}

/**
 * Verifies a bundle as people have it. What it says is compared with what devices have by its content: both are the same
 * then, whoever signed first.
 * @throws KeysteadError `trust-bundle.malformed`, `trust-bundle.signature-invalid`.
 */
export function verifyBundleJws(text: string, spki: DerSpki): BundleContent {
  const parsed = Flattened.safeParse(jsonOf(text, 'bundle'));
  if (!parsed.success) throw malformed('bundle', parsed.error.issues[0]?.message ?? 'malformed');
  const { protected: header, payload, signature } = parsed.data;
  const algorithm = algorithmOf(spki);
  const expected = Buffer.from(headerOf(algorithm, spkiSha256(spki)), 'utf8');
  const octets = NUMBER_OCTETS[algorithm];
  const bytes = bytesOf(signature, 'signature');
  const whole = octets === 0 || bytes.length === 2 * octets;
  const der = octets === 0 ? bytes : ecdsaSigValue(bytes.subarray(0, octets), bytes.subarray(octets));
  const signed = Buffer.from(`${header}.${payload}`, 'ascii');
  const verified = whole && verifySignature(SIGNATURE_OF[algorithm], spki, signed, der);
  if (!sameBytes(bytesOf(header, 'protected'), expected) || !verified) {
    throw new KeysteadError('trust-bundle.signature-invalid', { field: 'signature', seen: 'one that does not verify' });
  }
  const json = Buffer.from(bytesOf(payload, 'payload')).toString('utf8');
  const content = contentOfJson(jsonOf(json, 'payload'));
  if (canonicalJson(jsonOfContent(content) as JsonValue) !== json) throw malformed('payload', 'another spelling');
  return content;
}

const algorithmOf = (spki: DerSpki): keyof typeof JWS_ALGORITHM => {
  const found = checkPublicKey(spki, SIGNER_ALGORITHMS);
  return SIGNER_ALGORITHMS.find((one) => one === found) ?? 'P-256';
};

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed(field, 'something that is not JSON', cause);
  }
}

function bytesOf(text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed(field, 'another spelling of base64url');
  return bytes;
}

const malformed = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('trust-bundle.malformed', { field, seen, cause });
