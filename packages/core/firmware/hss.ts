import { sign1Structure, verifyHss } from '../crypto/index.ts';
import { DerError, readDer, readOctetBits, readOid } from '../x509/der/strict.ts';
import { type CoseSign1, HEADER, readSign1Sequence } from './cose/sign1.ts';
import { malformed } from './malformed.ts';
import { readSuitEnvelope } from './suit/envelope.ts';
import { manifestDigest, readManifest } from './suit/manifest.ts';

/**
 * Firmware that others signed by hashes alone, HSS over LMS (RFC 8554, SP 800-208): what vendors of chips and of boot
 * loaders give out. Verified here, never made: docs/decisions/0043.
 */

/** HSS-LMS as an algorithm of COSE (RFC 8778 section 2.3). */
const COSE_HSS_LMS = -46;
/** id-alg-hss-lms-hashsig (RFC 9802 section 3); the BIT STRING is the HSS public key itself. */
const HSS_LMS = '1.2.840.113549.1.9.16.3.17';
const SEQUENCE = 0x30;
/** The number of levels, two types, an identifier and a root of 24 or 32 octets (RFC 8554 section 6.1, RFC 9858). */
const KEY_OCTETS: readonly number[] = [52, 60];

/**
 * An HSS public key from what a vendor hands over: its own octets, or a SubjectPublicKeyInfo, DER.
 * @throws KeysteadError `firmware.malformed`.
 */
export function hssPublicKey(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== SEQUENCE) return requireKey(bytes);
  try {
    const spki = readDer(bytes).expect(SEQUENCE, 'the key').counted(2, 2, 'the key');
    const algorithm = spki.child(0, SEQUENCE, 'its algorithm').counted(1, 1, 'its algorithm');
    const oid = readOid(algorithm.children[0], 'its algorithm');
    if (oid !== HSS_LMS) throw malformed('key', `the algorithm ${oid}, not HSS-LMS`);
    return requireKey(readOctetBits(spki.child(1, 0x03, 'the key'), 'the key'));
  } catch (cause) {
    if (cause instanceof DerError) throw malformed('key', cause.message);
    throw cause;
  }
}

function requireKey(key: Uint8Array): Uint8Array {
  if (KEY_OCTETS.includes(key.length)) return key;
  throw malformed('key', `${key.length} octets, where an HSS public key has ${KEY_OCTETS.join(' or ')}`);
}

/** Whether one of the COSE_Sign1 is of the payload by the key. @throws KeysteadError `firmware.malformed`. */
export const hssSignedCose = (signatures: Uint8Array, key: Uint8Array, payload: Uint8Array): boolean =>
  readSign1Sequence(signatures).some((one) => isHssSign1(one, key, one.payload ?? payload) && signs(one, payload));

/** What is attached must be the image that was asked about. */
const signs = ({ payload }: CoseSign1, image: Uint8Array): boolean =>
  payload === null || Buffer.compare(payload, image) === 0;

/** Whether the manifest in the envelope is signed by the key. @throws KeysteadError `firmware.malformed`. */
export function hssSignedSuit(envelope: Uint8Array, key: Uint8Array): boolean {
  const { manifest, signatures } = readSuitEnvelope(envelope);
  readManifest(manifest);
  return signatures.some((one) => one.payload === null && isHssSign1(one, key, manifestDigest(manifest)));
}

const isHssSign1 = ({ protectedBytes, protectedHeader, signature }: CoseSign1, key: Uint8Array, payload: Uint8Array) =>
  protectedHeader.get(HEADER.alg) === COSE_HSS_LMS &&
  verifyHss(key, sign1Structure(protectedBytes, payload), signature);
