import { createHash } from 'node:crypto';
import { encode } from 'cborg';
import { sameBytes, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type FirmwareClaims, type FirmwareFormat, type FirmwareReading, MOST_SUBJECT_BYTES } from '../format.ts';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { unsuitable } from '../signer-key.ts';
import { wholeOf } from '../whole.ts';
import { beginsAsSuitDigest, decoded } from './cbor.ts';
import { COSE_SHA256, composeSign1, HEADER, type Headers, makeSign1, readSign1Sequence, signsCose } from './sign1.ts';

/** Longer images are signed by their digest: the subject is an array of the payload and one word about it. */
const MOST_PAYLOAD_BYTES = MOST_SUBJECT_BYTES - 16;
const NO_CLAIMS: FirmwareClaims = { product: null, version: null, securityCounter: null };
const PLAIN: Headers = new Map();
/** The payload is the hash of the image, and says so (RFC 9995). */
const HASHED: Headers = new Map([[HEADER.payloadHashAlg, COSE_SHA256]]);

/** What is signed beside algorithm and key. */
interface CosePayload {
  readonly headers: Headers;
  readonly payload: Uint8Array;
}

export interface CoseOptions {
  /** Whether the payload stands in the signature; a hash always does. */
  readonly payload: 'attached' | 'detached';
}

/**
 * COSE_Sign1 (RFC 9052) over an image, or over its SHA-256 where it is longer than a subject may be. Several keys make
 * several COSE_Sign1 of one payload, one after another (a CBOR sequence, RFC 8742): each reader takes the one whose
 * algorithm it knows, and none must know them all.
 */
export function coseFormat({ payload: where }: CoseOptions): FirmwareFormat {
  return {
    name: 'cose',
    title: `COSE_Sign1 with an ${where} payload; t_cose, pycose and others read it`,
    signedBy: signsCose,
    async read(image) {
      await requireUnsigned(image);
      return readingOf(await subjectOf(image), image.size);
    },
    claims(subject) {
      payloadOf(subject);
      return NO_CLAIMS;
    },
    isOfImage(subject, image) {
      const { headers, payload } = payloadOf(subject);
      if (headers === PLAIN) return payload.length === image.bytes && toHex(sha256(payload)) === image.sha256;
      return image.bytes > MOST_PAYLOAD_BYTES && toHex(payload) === image.sha256;
    },
    compose(subject, terms) {
      const { headers, payload } = payloadOf(subject);
      return composeSign1(payload, headers, terms);
    },
    async *assemble(_image, subject, made) {
      const { headers, payload } = payloadOf(subject);
      if (made.length === 0) throw unsuitable('no key');
      for (const one of made) {
        yield makeSign1(where === 'detached' && headers === PLAIN ? null : payload, headers, one, true);
      }
    },
  };
}

export const cose: FirmwareFormat = coseFormat({ payload: 'detached' });

async function subjectOf(image: ImageBytes): Promise<Uint8Array> {
  if (image.size <= MOST_PAYLOAD_BYTES) return encode([0, await wholeOf(image, MOST_PAYLOAD_BYTES, 'payload')]);
  const hash = createHash('sha256');
  for await (const piece of piecesOf(image)) hash.update(piece);
  return encode([COSE_SHA256, new Uint8Array(hash.digest())]);
}

/** A subject is in its one encoding. @throws KeysteadError `firmware.malformed`. */
function payloadOf(subject: Uint8Array): CosePayload {
  if (subject.length > MOST_SUBJECT_BYTES) throw malformed('subject', `${subject.length} bytes`);
  const parts = decoded(subject, 'subject');
  const [kind, payload] = Array.isArray(parts) && parts.length === 2 ? (parts as readonly unknown[]) : [];
  if (!(payload instanceof Uint8Array) || (kind !== 0 && kind !== COSE_SHA256))
    throw malformed('subject', 'no payload');
  if (kind === COSE_SHA256 && payload.length !== 32) throw malformed('subject', `a hash of ${payload.length} bytes`);
  if (!sameBytes(encode([kind, payload]), subject)) throw malformed('subject', 'another encoding');
  // What SUIT signs has the same form: a device would take the signature of such a file for one of a manifest, of which
  // nobody saw a command and keyd no sequence number.
  if (kind === 0 && beginsAsSuitDigest(payload)) {
    throw malformed('payload', 'the digest of a SUIT manifest, which is signed as suit');
  }
  return { headers: kind === 0 ? PLAIN : HASHED, payload };
}

function readingOf(subject: Uint8Array, size: number): FirmwareReading {
  const { headers, payload } = payloadOf(subject);
  const shown = [
    { name: 'payload', value: headers === PLAIN ? 'the image' : 'SHA-256 of the image' },
    { name: 'image', value: `${size} bytes` },
    { name: 'image SHA-256', value: toHex(headers === PLAIN ? sha256(payload) : payload) },
  ];
  return { ...NO_CLAIMS, format: 'cose', shown, signatures: 0, subject };
}

/** An image that is itself COSE_Sign1 was signed before. @throws KeysteadError `firmware.signed-already`. */
async function requireUnsigned(image: ImageBytes): Promise<void> {
  const [tag, array] = await image.read(0, 2);
  // Tag 18 and an array of four.
  if (tag !== 0xd2 || array !== 0x84 || image.size > MOST_PAYLOAD_BYTES) return;
  let signatures: number;
  try {
    signatures = readSign1Sequence(await wholeOf(image, MOST_PAYLOAD_BYTES, 'payload')).length;
  } catch (error) {
    if (error instanceof KeysteadError) return;
    throw error;
  }
  throw new KeysteadError('firmware.signed-already', { field: 'image', seen: `${signatures} COSE_Sign1` });
}
