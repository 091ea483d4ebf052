import { encode } from 'cborg';
import type { DerSpki } from '../../bytes/index.ts';
import { fromHex, sameBytes, toHex } from '../../bytes/index.ts';
import {
  algorithmOfSpki,
  COSE_ALGORITHM as COMMON,
  fromCoseSignature,
  type KeyAlgorithm,
  SIGNATURE_OF,
  type Signer,
  sign1Structure,
  spkiSha256,
  toCoseSignature,
  verifySignature,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { checkPublicKey } from '../../x509/index.ts';
import { cborOfContent, contentOfCbor, decoded, malformed } from './cbor.ts';
import type { BundleContent } from './content.ts';
import { SIGNER_ALGORITHMS } from './rules.ts';

type SignerAlgorithm = (typeof SIGNER_ALGORITHMS)[number];

/** Ed25519 is the fully specified one of RFC 9864 here. */
const COSE_ALGORITHM: Readonly<Record<SignerAlgorithm, number>> = {
  'P-256': COMMON['P-256'],
  'P-384': COMMON['P-384'],
  Ed25519: -19,
};
const CONTENT_TYPE = 'application/vnd.keystead.trust-bundle+cbor';
const HEADER = { alg: 1, contentType: 3, kid: 4 };
/** SHA-256. */
const KID_BYTES = 32;
/** Content of 128 KiB, and what is around it. */
const MOST_BYTES = 130 * 1024;

/** A bundle as it was read, whose signature is not yet verified. */
export interface SignedBundle {
  readonly content: BundleContent;
  /** SHA-256 of the signer's SubjectPublicKeyInfo, hex (the `kid`). */
  readonly signer: string;
  readonly algorithm: SignerAlgorithm;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

const headerOf = (algorithm: SignerAlgorithm, kid: string): Uint8Array =>
  encode(
    new Map<number, unknown>([
      [HEADER.alg, COSE_ALGORITHM[algorithm]],
      [HEADER.contentType, CONTENT_TYPE],
      [HEADER.kid, fromHex(kid)],
    ]),
  );

/**
 * A bundle as devices read it: COSE_Sign1 (RFC 9052 section 4.2, without its tag) over the content in CBOR.
 * @throws KeysteadError `key.*` for a signer of another kind of key.
 */
export async function signBundle(content: BundleContent, signer: Signer): Promise<Uint8Array> {
  const algorithm = requireAlgorithm(checkPublicKey(signer.spki, SIGNER_ALGORITHMS));
  const header = headerOf(algorithm, spkiSha256(signer.spki));
  const payload = cborOfContent(content);
  const der = await signer.sign(sign1Structure(header, payload));
  return encode([header, new Map(), payload, toCoseSignature(algorithm, der)]);
}

/**
 * Reads a bundle; verifies no signature. It has one encoding only.
 * @throws KeysteadError `trust-bundle.malformed`.
 */
export function parseBundle(bytes: Uint8Array): SignedBundle {
  if (bytes.length > MOST_BYTES) throw malformed(`${bytes.length} bytes`);
  const parts = decoded(bytes);
  if (!Array.isArray(parts) || parts.length !== 4) throw malformed('no COSE_Sign1');
  const [header, unprotected, payload, signature] = parts as readonly unknown[];
  if (!(header instanceof Uint8Array && payload instanceof Uint8Array && signature instanceof Uint8Array)) {
    throw malformed('no COSE_Sign1');
  }
  if (!(unprotected instanceof Map) || unprotected.size > 0) throw malformed('an unprotected header');
  const { algorithm, kid } = readHeader(header);
  if (!sameBytes(encode([header, new Map(), payload, signature]), bytes)) throw malformed('another encoding');
  return {
    content: contentOfCbor(payload),
    signer: kid,
    algorithm,
    signed: sign1Structure(header, payload),
    signature,
  };
}

/** The three members, no other, and in the one encoding. */
function readHeader(bytes: Uint8Array): { algorithm: SignerAlgorithm; kid: string } {
  const header = decoded(bytes);
  const kid: unknown = header instanceof Map ? header.get(HEADER.kid) : undefined;
  const alg: unknown = header instanceof Map ? header.get(HEADER.alg) : undefined;
  const algorithm = SIGNER_ALGORITHMS.find((one) => COSE_ALGORITHM[one] === alg);
  if (algorithm === undefined || !(kid instanceof Uint8Array) || kid.length !== KID_BYTES)
    throw malformed('a protected header of another kind');
  const text = toHex(kid);
  if (!sameBytes(headerOf(algorithm, text), bytes)) throw malformed('a protected header of another kind');
  return { algorithm, kid: text };
}

/** @throws KeysteadError `trust-bundle.signature-invalid`. */
export function requireSignature({ signer, algorithm, signed, signature }: SignedBundle, spki: DerSpki): void {
  const field = 'signature';
  if (spkiSha256(spki) !== signer)
    throw new KeysteadError('trust-bundle.signature-invalid', { field, seen: 'another key' });
  // ES256 is of P-256 here and ES384 of P-384, which RFC 9053 leaves open: a device's library knows no other pairs.
  const der = algorithmOfSpki(spki) === algorithm ? fromCoseSignature(algorithm, signature) : undefined;
  if (der !== undefined && verifySignature(SIGNATURE_OF[algorithm], spki, signed, der)) return;
  throw new KeysteadError('trust-bundle.signature-invalid', { field, seen: 'one that does not verify' });
}

function requireAlgorithm(algorithm: KeyAlgorithm): SignerAlgorithm {
  const known = SIGNER_ALGORITHMS.find((one) => one === algorithm);
  if (known === undefined) throw new KeysteadError('key.algorithm-forbidden', { field: 'signer', seen: algorithm });
  return known;
}
