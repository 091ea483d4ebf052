import { encode } from 'cborg';
import { type DerCertificate, type DerSpki, fromHex } from '../../bytes/index.ts';
import {
  COSE_ALGORITHM,
  type CoseKeyAlgorithm,
  isCoseKey,
  SIGNATURE_OF,
  sign1Structure,
  spkiSha256,
  toCoseSignature,
  verifyCoseSignature,
} from '../../crypto/index.ts';
import type { FormatKey, MadeSignature, SigningTerms } from '../format.ts';
import { malformed } from '../malformed.ts';
import { described, signerKey, unsuitable } from '../signer-key.ts';
import { cborTagged, decoded, sequenceOf, TAGS, Tagged } from './cbor.ts';

/** Header parameters: RFC 9052 section 3.1, RFC 9360 section 2, RFC 9995 section 3. */
export const HEADER = { alg: 1, crit: 2, kid: 4, x5chain: 33, payloadHashAlg: 258 } as const;
/** SHA-256 (RFC 9054 section 3.3). */
export const COSE_SHA256 = -16;
const MOST_SIGNATURES = 8;

/** Headers beside the algorithm and the key. */
export type Headers = ReadonlyMap<number, unknown>;

/** A COSE_Sign1 as it was read; nothing of it is verified. */
export interface CoseSign1 {
  /** As it stands there: what is signed. */
  readonly protectedBytes: Uint8Array;
  readonly protectedHeader: ReadonlyMap<unknown, unknown>;
  readonly unprotected: ReadonlyMap<unknown, unknown>;
  /** Null where it is detached. */
  readonly payload: Uint8Array | null;
  readonly signature: Uint8Array;
}

/** Whether a COSE message is signed by such a key: each has one algorithm there. */
export const signsCose = ({ algorithm, scheme }: FormatKey): boolean =>
  isCoseKey(algorithm) && scheme === SIGNATURE_OF[algorithm];

type OfSigner = Pick<SigningTerms, 'signer' | 'scheme'>;

function algorithmOf(terms: OfSigner): { algorithm: CoseKeyAlgorithm; spki: DerSpki } {
  const key = signerKey(terms);
  const { algorithm, spki, scheme } = key;
  if (isCoseKey(algorithm) && scheme === SIGNATURE_OF[algorithm]) return { algorithm, spki };
  throw unsuitable(`${described(key)}, which signs no COSE message here`);
}

/** The protected header: algorithm and key are signed, so that neither can be exchanged for another. */
function protectedOf(terms: OfSigner, more: Headers): Uint8Array {
  const { algorithm, spki } = algorithmOf(terms);
  return encode(
    new Map<number, unknown>([
      [HEADER.alg, COSE_ALGORITHM[algorithm]],
      [HEADER.kid, fromHex(spkiSha256(spki))],
      ...more,
    ]),
  );
}

/** What a signer signs. @throws KeysteadError `firmware.key-unsuitable`. */
export const composeSign1 = (payload: Uint8Array, more: Headers, terms: SigningTerms): Uint8Array =>
  sign1Structure(protectedOf(terms, more), payload);

/**
 * A tagged COSE_Sign1. @param payload null to leave it detached. @param certificates whether the signer's certificate and
 * its chain go along (x5chain, RFC 9360), which is not signed: a verifier builds a path of it to a root that it has.
 */
export function makeSign1(
  payload: Uint8Array | null,
  more: Headers,
  made: MadeSignature,
  certificates: boolean,
): Uint8Array {
  const { algorithm } = algorithmOf(made);
  const chain: readonly DerCertificate[] = [made.signer, ...made.chain];
  const unprotected = new Map<number, unknown>();
  if (certificates) unprotected.set(HEADER.x5chain, chain.length === 1 ? made.signer : chain);
  const signature = toCoseSignature(algorithm, made.signature);
  return cborTagged(TAGS.sign1, encode([protectedOf(made, more), unprotected, payload, signature]));
}

/** Reads one tagged COSE_Sign1. @throws KeysteadError `firmware.malformed`. */
export const readSign1 = (bytes: Uint8Array): CoseSign1 => sign1Of(decoded(bytes, 'COSE_Sign1'));

/** Reads the signatures of one payload, one after another. @throws KeysteadError `firmware.malformed`. */
export const readSign1Sequence = (bytes: Uint8Array): readonly CoseSign1[] =>
  sequenceOf(bytes, MOST_SIGNATURES, 'COSE_Sign1').map(sign1Of);

function sign1Of(item: unknown): CoseSign1 {
  if (!(item instanceof Tagged) || item.tag !== TAGS.sign1) throw malformed('COSE_Sign1', 'no tag 18');
  const parts = item.value;
  if (!Array.isArray(parts) || parts.length !== 4) throw malformed('COSE_Sign1', 'no array of four');
  const [protectedBytes, unprotected, payload, signature] = parts as readonly unknown[];
  if (!(protectedBytes instanceof Uint8Array && unprotected instanceof Map && signature instanceof Uint8Array)) {
    throw malformed('COSE_Sign1', 'parts of other types');
  }
  if (payload !== null && !(payload instanceof Uint8Array)) throw malformed('payload', 'no octets');
  const protectedHeader = decoded(protectedBytes, 'protected header');
  if (!(protectedHeader instanceof Map)) throw malformed('protected header', 'no map');
  // RFC 9052 section 3: a label stands in one of the two; section 3.1: what is critical and not known is refused.
  for (const label of protectedHeader.keys()) {
    if (unprotected.has(label)) throw malformed('header', `the label ${String(label)} twice`);
  }
  if (protectedHeader.has(HEADER.crit)) throw malformed('header', 'critical labels that are not known');
  return { protectedBytes, protectedHeader, unprotected, payload, signature };
}

/** Whether the key made it. @param payload where it is detached. Never an exception. */
export function verifySign1(sign1: CoseSign1, spki: DerSpki, payload = sign1.payload): boolean {
  if (payload === null) return false;
  const signed = sign1Structure(sign1.protectedBytes, payload);
  return verifyCoseSignature(sign1.protectedHeader.get(HEADER.alg), spki, signed, sign1.signature);
}
