import { createHash } from 'node:crypto';
import type { DerSpki } from '../../bytes/index.ts';
import { sameBytes, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { composeSign1, makeSign1, signsCose, verifySign1 } from '../cose/sign1.ts';
import type { FirmwareClaims, FirmwareFormat } from '../format.ts';
import { type ImageBytes, imageOf, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { unsuitable } from '../signer-key.ts';
import { wholeOf } from '../whole.ts';
import { MOST_ENVELOPE_BYTES, makeEnvelope, readSuitEnvelope, type SuitEnvelope } from './envelope.ts';
import {
  makeManifest,
  manifestDigest,
  PARAMETER,
  readManifest,
  type SuitManifest,
  suitSha256,
  uuidOctets,
  uuidText,
} from './manifest.ts';

const NO_HEADERS = new Map<number, unknown>();
const MOST_SHOWN = 32;

/**
 * SUIT manifests (draft-ietf-suit-manifest-34). The image is an envelope without a signature, as `prepare` makes one of
 * a firmware image; the subject is the manifest, so that keyd reads its sequence number itself; what is signed is the
 * digest of the manifest. Several keys make several signatures, as the draft has it.
 */
export const suit: FirmwareFormat = {
  name: 'suit',
  title: 'SUIT envelope with COSE_Sign1 over its manifest (draft-ietf-suit-manifest-34)',
  places: ['securityCounter'],
  signedBy: signsCose,
  prepare,
  async read(image) {
    const { manifest, signatures } = await envelopeOf(image);
    if (signatures.length > 0) {
      throw new KeysteadError('firmware.signed-already', {
        field: 'authentication-wrapper',
        seen: `${signatures.length} signatures`,
      });
    }
    const read = readManifest(manifest);
    return { ...claimsOf(read), format: 'suit', shown: shownOf(manifest, read), signatures: 0, subject: manifest };
  },
  claims: (subject) => claimsOf(readManifest(subject)),
  compose(subject, terms) {
    readManifest(subject);
    return composeSign1(manifestDigest(subject), NO_HEADERS, terms);
  },
  async *assemble(image, subject, made) {
    if (made.length === 0) throw unsuitable('no key');
    const { manifest, payloads } = await envelopeOf(image);
    if (!sameBytes(manifest, subject)) throw malformed('image', 'another manifest than the one that was signed');
    // Devices hold the key that they verify with: certificates would only make the manifest longer.
    const signatures = made.map((one) => makeSign1(null, NO_HEADERS, one, false));
    yield makeEnvelope(subject, signatures, payloads);
  },
};

/** Which of the keys signed the envelope. Never an exception. */
export const suitSigners = ({ manifest, signatures }: SuitEnvelope, keys: readonly DerSpki[]): readonly DerSpki[] =>
  keys.filter((key) =>
    signatures.some((sign1) => sign1.payload === null && verifySign1(sign1, key, manifestDigest(manifest))),
  );

const envelopeOf = async (image: ImageBytes): Promise<SuitEnvelope> =>
  readSuitEnvelope(await wholeOf(image, MOST_ENVELOPE_BYTES, 'envelope'));

const claimsOf = ({ sequenceNumber }: SuitManifest): FirmwareClaims => ({
  product: null,
  version: null,
  securityCounter: sequenceNumber,
});

function shownOf(manifest: Uint8Array, read: SuitManifest): { name: string; value: string }[] {
  const components = read.components.map((parts) => parts.map((part) => toHex(part).slice(0, 64)).join('/'));
  const rows = [
    { name: 'sequence number', value: String(read.sequenceNumber) },
    { name: 'manifest SHA-256', value: toHex(sha256(manifest)) },
    ...components.map((value) => ({ name: 'component', value: value.slice(0, 300) })),
    ...read.parameters.map(([label, value]) => shownParameter(label, value)),
    // Branches (15, 32) and what else a manifest can do are for whoever wrote it to explain: here stands that they are there.
    { name: 'commands', value: read.commands.join(' ').slice(0, 300) },
    ...(read.otherMembers.length === 0
      ? []
      : [{ name: 'members not looked into', value: read.otherMembers.join(' ').slice(0, 300) }]),
  ];
  return rows.length <= MOST_SHOWN
    ? rows
    : [...rows.slice(0, MOST_SHOWN), { name: 'not shown', value: `${rows.length - MOST_SHOWN} more` }];
}

function shownParameter(label: number, value: unknown): { name: string; value: string } {
  const octets = value instanceof Uint8Array ? value : undefined;
  switch (label) {
    case PARAMETER.vendorIdentifier:
      return { name: 'vendor', value: octets === undefined ? 'another form' : uuidText(octets.subarray(0, 64)) };
    case PARAMETER.classIdentifier:
      return { name: 'class', value: octets === undefined ? 'another form' : uuidText(octets.subarray(0, 64)) };
    case PARAMETER.imageDigest:
      return { name: 'image digest', value: shownDigest(octets) };
    case PARAMETER.imageSize:
      return { name: 'image size', value: typeof value === 'number' ? `${value} bytes` : 'another form' };
    case PARAMETER.uri:
      return {
        name: 'uri',
        value: typeof value === 'string' ? value.replace(/[^\x20-\x7e]/g, '?').slice(0, 300) : 'another form',
      };
    default:
      return { name: 'parameter', value: String(label) };
  }
}

/** SHA-256, or what stands there as it is: part of it, taken for the hash, could be another than the device takes. */
function shownDigest(octets: Uint8Array | undefined): string {
  if (octets === undefined) return 'another form';
  const hash = suitSha256(octets);
  return hash === undefined ? `no SHA-256: ${toHex(octets).slice(0, 250)}` : toHex(hash);
}

/**
 * A manifest for an image, which may be of any size, in an envelope to be signed. Parameters: `vendorId`, `classId`
 * (UUIDs), `sequenceNumber`, `uri` where devices fetch the image, `component` (hex parts joined by `/`; `00` if not given).
 */
async function prepare(raw: ImageBytes, parameters: Readonly<Record<string, string>>): Promise<ImageBytes> {
  const { vendorId, classId, sequenceNumber, uri, component = '00', ...others } = parameters;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw refused(unknown, 'no parameter of this format');
  const vendor = uuidOctets(vendorId ?? '') ?? refuse('vendorId', 'no UUID in small letters');
  const device = uuidOctets(classId ?? '') ?? refuse('classId', 'no UUID in small letters');
  if (!/^(?:0|[1-9]\d{0,14})$/.test(sequenceNumber ?? '')) throw refused('sequenceNumber', 'no number');
  if (uri === undefined || !/^[\x21-\x7e]{1,1024}$/.test(uri)) throw refused('uri', 'no URI');
  if (!/^(?:[0-9a-f]{2}){1,64}(?:\/(?:[0-9a-f]{2}){1,64}){0,7}$/.test(component)) throw refused('component', 'no hex');
  const hash = createHash('sha256');
  for await (const piece of piecesOf(raw)) hash.update(piece);
  const manifest = makeManifest({
    sequenceNumber: Number(sequenceNumber),
    component: component.split('/').map((part) => new Uint8Array(Buffer.from(part, 'hex'))),
    vendorId: vendor,
    classId: device,
    digest: new Uint8Array(hash.digest()),
    size: raw.size,
    uri,
  });
  return imageOf(makeEnvelope(manifest, []));
}

const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('firmware.parameter', { field, seen });
const refuse = (field: string, seen: string): never => {
  throw refused(field, seen);
};
