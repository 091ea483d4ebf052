import { encode } from 'cborg';
import { sameBytes, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { cborHead, decoded } from '../cose/cbor.ts';
import { COSE_SHA256 } from '../cose/sign1.ts';
import { MOST_SUBJECT_BYTES } from '../format.ts';
import { malformed } from '../malformed.ts';

/** Numbers of draft-ietf-suit-manifest-34, section 11 and appendix A. */
const MEMBER = { version: 1, sequenceNumber: 2, common: 3, validate: 7, install: 20 } as const;
/** Validation, load, invocation, dependency resolution, payload fetch, candidate verification, installation. */
const SEQUENCES = [7, 8, 9, 15, 16, 18, 20] as const;
const KNOWN_MEMBERS: readonly number[] = [1, 2, 3, ...SEQUENCES];
const COMMON = { components: 2, sharedSequence: 4 } as const;
const KNOWN_OF_COMMON: readonly number[] = Object.values(COMMON);
const CONDITION = { vendorIdentifier: 1, classIdentifier: 2, imageMatch: 3 } as const;
const DIRECTIVE = { overrideParameters: 20, fetch: 21 } as const;
export const PARAMETER = { vendorIdentifier: 1, classIdentifier: 2, imageDigest: 3, imageSize: 14, uri: 21 } as const;
/** Reporting policy: all of a condition's outcome; of a fetch its failures (section 8.4.7). */
const REPORT_ALL = 15;
const REPORT_FAILURE = 2;
const MANIFEST_VERSION = 1;
const UUID_OCTETS = 16;

/** What a minimal manifest says: one component, fetched and checked. */
export interface SuitUpdate {
  /** Goes up, never down (section 4.2). */
  readonly sequenceNumber: number;
  readonly component: readonly Uint8Array[];
  /** UUIDs (RFC 9562), 16 octets. */
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  /** SHA-256 of the image, and its octets. */
  readonly digest: Uint8Array;
  readonly size: number;
  readonly uri: string;
}

/** A manifest as it was read: what anti-rollback and people need. */
export interface SuitManifest {
  readonly sequenceNumber: number;
  readonly components: readonly (readonly Uint8Array[])[];
  /** What the command sequences set, by number, in their order; not what stands in branches of commands. */
  readonly parameters: readonly (readonly [number, unknown])[];
  /** The commands of all sequences, by number, in their order. */
  readonly commands: readonly number[];
  /** Members that are not looked into. */
  readonly otherMembers: readonly string[];
}

/** SUIT_Digest with SHA-256. */
export const suitDigest = (digest: Uint8Array): Uint8Array => encode([COSE_SHA256, digest]);

/** The digest that is signed: of the manifest as the envelope carries it, with the head of its byte string (section 6.2). */
export const manifestDigest = (manifest: Uint8Array): Uint8Array =>
  suitDigest(sha256(Buffer.concat([cborHead(2, manifest.length), manifest])));

/** The hash in a SUIT_Digest with SHA-256; undefined for anything else, since devices may read that in another way. */
export function suitSha256(digest: Uint8Array): Uint8Array | undefined {
  const hash = digest.subarray(-32);
  return hash.length === 32 && sameBytes(suitDigest(hash), digest) ? hash : undefined;
}

/** The manifest of an update: identifiers are checked, then the image is fetched, and it must match. */
export function makeManifest(update: SuitUpdate): Uint8Array {
  const { sequenceNumber, component, vendorId, classId, digest, size, uri } = update;
  const shared = [
    DIRECTIVE.overrideParameters,
    new Map<number, unknown>([
      [PARAMETER.vendorIdentifier, vendorId],
      [PARAMETER.classIdentifier, classId],
      [PARAMETER.imageDigest, suitDigest(digest)],
      [PARAMETER.imageSize, size],
    ]),
    CONDITION.vendorIdentifier,
    REPORT_ALL,
    CONDITION.classIdentifier,
    REPORT_ALL,
  ];
  const install = [
    DIRECTIVE.overrideParameters,
    new Map([[PARAMETER.uri, uri]]),
    DIRECTIVE.fetch,
    REPORT_FAILURE,
    CONDITION.imageMatch,
    REPORT_ALL,
  ];
  return encode(
    new Map<number, unknown>([
      [MEMBER.version, MANIFEST_VERSION],
      [MEMBER.sequenceNumber, sequenceNumber],
      [
        MEMBER.common,
        encode(
          new Map<number, unknown>([
            [COMMON.components, [component]],
            [COMMON.sharedSequence, encode(shared)],
          ]),
        ),
      ],
      [MEMBER.validate, encode([CONDITION.imageMatch, REPORT_ALL])],
      [MEMBER.install, encode(install)],
    ]),
  );
}

/**
 * Reads a manifest, also another tool's: it must be in its one encoding, have a sequence number and components, and
 * its command sequences must be pairs.
 * @throws KeysteadError `firmware.malformed`.
 */
export function readManifest(bytes: Uint8Array): SuitManifest {
  if (bytes.length > MOST_SUBJECT_BYTES) throw malformed('manifest', `${bytes.length} bytes`);
  const manifest = mapOf(bytes, 'manifest');
  if (manifest.get(MEMBER.version) !== MANIFEST_VERSION) throw malformed('manifest-version', 'another than 1');
  const sequenceNumber = manifest.get(MEMBER.sequenceNumber);
  if (typeof sequenceNumber !== 'number' || !Number.isSafeInteger(sequenceNumber) || sequenceNumber < 0) {
    throw malformed('manifest-sequence-number', 'no number from 0 to 2^53');
  }
  const common = mapOf(manifest.get(MEMBER.common), 'common');
  const components = common.get(COMMON.components);
  if (!Array.isArray(components) || components.length === 0 || !components.every(isComponent)) {
    throw malformed('components', 'no list of components');
  }
  const sequences = [common.get(COMMON.sharedSequence), ...sequencesOf(manifest)];
  const commands = sequences.flatMap((sequence) => (sequence === undefined ? [] : commandsOf(sequence)));
  return {
    sequenceNumber,
    components,
    parameters: commands.flatMap(([code, argument]) =>
      code === DIRECTIVE.overrideParameters && argument instanceof Map ? [...argument].filter(isParameter) : [],
    ),
    commands: commands.map(([code]) => code),
    otherMembers: [
      ...unknownOf(manifest, KNOWN_MEMBERS),
      ...unknownOf(common, KNOWN_OF_COMMON).map((member) => `common ${member}`),
    ],
  };
}

/** By a number alone: a text of digits is another member. */
const unknownOf = (map: ReadonlyMap<unknown, unknown>, known: readonly number[]): string[] =>
  [...map.keys()].filter((member) => typeof member !== 'number' || !known.includes(member)).map(String);

/** The command sequences of a manifest. One that is severed is a digest here, of something that nobody has seen. */
function sequencesOf(manifest: ReadonlyMap<unknown, unknown>): unknown[] {
  return SEQUENCES.flatMap((member) => {
    const sequence = manifest.get(member);
    if (sequence === undefined) return [];
    if (!(sequence instanceof Uint8Array)) throw malformed(`member ${member}`, 'severed, or no byte string');
    return [sequence];
  });
}

/** Commands and their arguments, one after the other; what is in the branches of one stays in its argument. */
function commandsOf(sequence: unknown): [number, unknown][] {
  if (!(sequence instanceof Uint8Array)) throw malformed('command sequence', 'no byte string');
  const items = decoded(sequence, 'command sequence');
  if (!Array.isArray(items) || items.length % 2 !== 0) throw malformed('command sequence', 'no pairs');
  const commands: [number, unknown][] = [];
  for (let at = 0; at < items.length; at += 2) {
    const code: unknown = items[at];
    if (typeof code !== 'number') throw malformed('command sequence', 'a command that is no number');
    commands.push([code, items[at + 1]]);
  }
  return commands;
}

const isParameter = (entry: [unknown, unknown]): entry is [number, unknown] => typeof entry[0] === 'number';

const isComponent = (value: unknown): value is Uint8Array[] =>
  Array.isArray(value) && value.every((part) => part instanceof Uint8Array);

/** A map in a byte string, in its one encoding. */
function mapOf(bytes: unknown, field: string): ReadonlyMap<unknown, unknown> {
  if (!(bytes instanceof Uint8Array)) throw malformed(field, 'no byte string');
  const map = decoded(bytes, field);
  if (!(map instanceof Map)) throw malformed(field, 'no map');
  if (!sameBytes(encode(map), bytes)) throw malformed(field, 'another encoding');
  return map;
}

/** `fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe`, to its octets; undefined for another text. */
export function uuidOctets(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text.replaceAll('-', ''), 'hex'));
}

export function uuidText(octets: Uint8Array): string {
  const hex = toHex(octets);
  if (octets.length !== UUID_OCTETS) return hex;
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
