import { z } from 'zod';
import { canonicalJson, type DerSpki, sameBytes, toBase64url, toHex } from '../bytes/index.ts';
import {
  ecdsaNumbers,
  ecdsaSigValue,
  SIGNATURE_OF,
  type Signer,
  sha256,
  spkiSha256,
  verifySignature,
} from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { checkPublicKey } from '../x509/index.ts';

/** RFC 7518 section 3.1. */
const ALGORITHMS = { 'P-256': { jws: 'ES256', octets: 32 }, 'P-384': { jws: 'ES384', octets: 48 } } as const;
const NAMES = ['P-256', 'P-384'] as const;
const TYPE = 'keystead-wipe-evidence';

/** As many names as a report of a decommissioning has room for beside it. */
const MOST_NAMED = 60;
const LONGEST_NAME = 200;

/** What a device says of its own end, with the last signature of its IDevID's key. */
const WipeClaimsSchema = z.strictObject({
  v: z.literal(1),
  deviceId: z.string().min(1).max(64),
  /** By the device's clock. */
  at: z.iso.datetime(),
  /** Serial number of the IDevID, whose key signs. */
  idevidSerial: z.string().regex(/^[0-9a-f]{2,40}$/),
  /** What is destroyed from this moment on, the signing key last: files and objects by name and part. */
  wiped: z.array(z.string().min(1).max(LONGEST_NAME)).min(1).max(MOST_NAMED),
  /** What found no room there: how many, and the SHA-256 of all of their names, which the device's own report has in full. */
  more: z.strictObject({ count: z.int().min(1), sha256: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
  /** What the device cannot promise of its storage. */
  limits: z.string().min(1).max(500),
});
export type WipeClaims = z.output<typeof WipeClaimsSchema>;

/**
 * The names of what is destroyed, as the claims have them: what matters most must come first. Whatever is beyond what
 * fits is counted, and told by a hash over the canonical JSON (RFC 8785) of the names, so that none is left out unseen.
 * A name that is too long is cut, and ends in the SHA-256 of the whole.
 * @param names at least one.
 */
export function nameWiped(names: readonly string[]): Pick<WipeClaims, 'wiped' | 'more'> {
  const hash = (text: string): string => toHex(sha256(Buffer.from(text, 'utf8')));
  const short = (name: string): string =>
    name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 74)}… SHA-256 ${hash(name)}`;
  const wiped = names.slice(0, MOST_NAMED).map(short);
  const rest = names.slice(MOST_NAMED);
  return rest.length === 0
    ? { wiped }
    : { wiped, more: { count: rest.length, sha256: hash(canonicalJson([...rest])) } };
}

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/, 'must be base64url without padding');
const Flattened = z.strictObject({
  protected: base64url.max(512),
  payload: base64url.max(32 * 1024),
  signature: base64url.max(256),
});

/**
 * The evidence that a device leaves of its wipe, for whoever collects it: a JWS (RFC 7515) in its flattened form over
 * canonical JSON (RFC 8785). It is signed before the key goes and made durable with the decision to wipe, which then goes
 * forward only: a device cannot sign that its signing key is gone. REQ-KEY-WIPE-01
 */
export async function signWipeEvidence(claims: WipeClaims, signer: Signer): Promise<string> {
  const { jws, octets } = algorithmOf(signer.spki);
  const header = toBase64url(Buffer.from(headerOf(jws, spkiSha256(signer.spki)), 'utf8'));
  const payload = toBase64url(Buffer.from(canonicalJson(WipeClaimsSchema.parse(claims)), 'utf8'));
  const der = await signer.sign(Buffer.from(`${header}.${payload}`, 'ascii'));
  const signature = toBase64url(ecdsaNumbers(der, octets));
  return `${JSON.stringify({ protected: header, payload, signature })}\n`;
}

/**
 * Verifies it. What it says is what the device said, not what anybody saw.
 * @param spki the key of the IDevID that the device was given.
 * @throws KeysteadError `evidence.wipe-malformed`, `evidence.wipe-signature`.
 */
export function verifyWipeEvidence(text: string, spki: DerSpki): WipeClaims {
  const parsed = Flattened.safeParse(jsonOf(text, 'evidence'));
  if (!parsed.success) throw malformed('evidence', parsed.error.issues[0]?.message ?? 'malformed');
  const { protected: header, payload, signature } = parsed.data;
  const { jws, octets, algorithm } = algorithmOf(spki);
  const bytes = bytesOf(signature, 'signature');
  const der = ecdsaSigValue(bytes.subarray(0, octets), bytes.subarray(octets));
  const signed = Buffer.from(`${header}.${payload}`, 'ascii');
  const verified =
    bytes.length === 2 * octets &&
    sameBytes(bytesOf(header, 'protected'), Buffer.from(headerOf(jws, spkiSha256(spki)), 'utf8')) &&
    verifySignature(SIGNATURE_OF[algorithm], spki, signed, der);
  if (!verified) throw new KeysteadError('evidence.wipe-signature', { field: 'signature' });
  const json = Buffer.from(bytesOf(payload, 'payload')).toString('utf8');
  const claims = WipeClaimsSchema.safeParse(jsonOf(json, 'payload'));
  if (!claims.success) {
    const [issue] = claims.error.issues;
    throw malformed(issue?.path.join('.') || 'payload', issue?.message ?? 'malformed');
  }
  if (canonicalJson(claims.data) !== json) throw malformed('payload', 'another spelling');
  return claims.data;
}

const headerOf = (alg: string, kid: string): string => canonicalJson({ alg, kid, typ: TYPE });

function algorithmOf(spki: DerSpki) {
  const found = checkPublicKey(spki, NAMES);
  const algorithm = NAMES.find((one) => one === found) ?? 'P-256';
  return { algorithm, ...ALGORITHMS[algorithm] };
}

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(field, 'no JSON');
  }
}

/** The one spelling: base64url that is decoded and encoded again is the same. */
function bytesOf(text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed(field, 'no base64url');
  return bytes;
}

const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('evidence.wipe-malformed', { field, seen });
