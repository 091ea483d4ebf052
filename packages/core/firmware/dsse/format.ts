import { createHash } from 'node:crypto';
import { type JsonValue, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type FirmwareClaims, type FirmwareFormat, type FirmwareReading, MOST_SUBJECT_BYTES } from '../format.ts';
import { type ImageBytes, imageOf, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { signerKey, unsuitable } from '../signer-key.ts';
import { wholeOf } from '../whole.ts';
import { dsseEnvelope, dsseKeyId, MOST_ENVELOPE_BYTES, readDsseEnvelope } from './envelope.ts';
import { type DssePayload, pae, readPae, requirePayloadType } from './pae.ts';
import { IN_TOTO_PAYLOAD_TYPE, makeStatement, PREDICATES, printable, readStatement, shownOf } from './statement.ts';
import { strictJson } from './strict-json.ts';

/** Of bytes that say nothing of what they are. */
const OCTETS = 'application/octet-stream';
/** The subject is the payload with its type and two lengths before it. */
const MOST_PAYLOAD_BYTES = MOST_SUBJECT_BYTES - 320;
const NO_CLAIMS: FirmwareClaims = { product: null, version: null, securityCounter: null };

/**
 * DSSE v1 (secure-systems-lab) over an in-toto statement or over plain bytes. The image is the payload, or an envelope
 * without a signature, which names the type; the subject is the pre-authentication encoding, which is also what every
 * key signs, so that keyd sees the payload that it signs.
 */
export const dsse: FirmwareFormat = {
  name: 'dsse',
  title: 'DSSE envelope: in-toto attestation or plain payload; cosign, in-toto and slsa-verifier read it',
  prepare,
  async read(image) {
    const subject = pae(payloadOf(await wholeOf(image, MOST_ENVELOPE_BYTES, 'payload')));
    if (subject.length > MOST_SUBJECT_BYTES) {
      throw malformed(
        'payload',
        `${subject.length} bytes, at most ${MOST_PAYLOAD_BYTES} are signed: attest its digest`,
      );
    }
    return readingOf(subject);
  },
  claims(subject) {
    checked(subject);
    return NO_CLAIMS;
  },
  compose(subject, terms) {
    signerKey(terms);
    checked(subject);
    return subject;
  },
  async *assemble(_image, subject, made) {
    if (made.length === 0) throw unsuitable('no key');
    const signatures = made.map((one) => ({ keyid: dsseKeyId(signerKey(one).spki), sig: one.signature }));
    // Of the subject, which is what was signed, whatever the image is by now.
    yield dsseEnvelope({ ...readPae(subject), signatures });
  },
};

/** The payload of a subject; a statement must be one. @throws KeysteadError `firmware.malformed`. */
function checked(subject: Uint8Array): DssePayload {
  if (subject.length > MOST_SUBJECT_BYTES) throw malformed('subject', `${subject.length} bytes`);
  const read = readPae(subject);
  if (read.payloadType === IN_TOTO_PAYLOAD_TYPE) readStatement(read.payload);
  return read;
}

function readingOf(subject: Uint8Array): FirmwareReading {
  const { payloadType, payload } = checked(subject);
  const shown = [
    { name: 'payload type', value: printable(payloadType) },
    { name: 'payload', value: `${payload.length} bytes` },
    { name: 'payload SHA-256', value: toHex(sha256(payload)) },
    ...(payloadType === IN_TOTO_PAYLOAD_TYPE ? shownOf(readStatement(payload)) : []),
  ];
  return { ...NO_CLAIMS, format: 'dsse', shown, signatures: 0, subject };
}

/** An image is an envelope where it has the members of one, a statement where it says that it is, and bytes otherwise. */
function payloadOf(image: Uint8Array): DssePayload {
  const { _type, payload, payloadType, signatures } = membersOf(image);
  if (payload !== undefined && payloadType !== undefined && signatures !== undefined) {
    const envelope = readDsseEnvelope(image);
    if (envelope.signatures.length === 0) return envelope;
    throw new KeysteadError('firmware.signed-already', {
      field: 'signatures',
      seen: `${envelope.signatures.length} of them`,
    });
  }
  const statement = typeof _type === 'string' && _type.startsWith('https://in-toto.io/Statement/');
  return { payloadType: statement ? IN_TOTO_PAYLOAD_TYPE : OCTETS, payload: image };
}

function membersOf(image: Uint8Array): Readonly<Record<string, unknown>> {
  if (image[0] !== '{'.charCodeAt(0)) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(image).toString());
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/**
 * With `payloadType`: an envelope to be signed over the raw bytes. With `predicateType` (`slsa-provenance`, `spdx`,
 * `cyclonedx` or a URI), `predicate` (JSON) and `name`: a statement about the raw bytes, which may be of any size.
 */
async function prepare(raw: ImageBytes, parameters: Readonly<Record<string, string>>): Promise<ImageBytes> {
  const { payloadType, predicateType, predicate, name, ...others } = parameters;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw refused(unknown, 'no parameter of this format');
  if (predicateType === undefined) {
    if (payloadType === undefined) throw refused('payloadType', 'neither payloadType nor predicateType');
    const payload = await wholeOf(raw, MOST_PAYLOAD_BYTES, 'payload');
    return imageOf(dsseEnvelope({ payload, payloadType: requirePayloadType(payloadType), signatures: [] }));
  }
  if (payloadType !== undefined) throw refused('payloadType', 'both payloadType and predicateType');
  if (predicate === undefined) throw refused('predicate', 'no predicate');
  if (name === undefined) throw refused('name', 'no name of the artefact');
  const hash = createHash('sha256');
  for await (const piece of piecesOf(raw)) hash.update(piece);
  const known: string = Object.entries(PREDICATES).find(([short]) => short === predicateType)?.[1] ?? predicateType;
  // JSON.parse gave it.
  const content = strictJson(Buffer.from(predicate), 'predicate') as JsonValue;
  const statement = makeStatement(name, hash.digest('hex'), known, content);
  readStatement(statement);
  return imageOf(statement);
}

const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('firmware.parameter', { field, seen });
