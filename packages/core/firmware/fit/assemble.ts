import { sameBytes } from '../../bytes/index.ts';
import { ecdsaNumbers } from '../../crypto/index.ts';
import type { FormatKey, MadeSignature, SigningTerms } from '../format.ts';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { described, signerKey, unsuitable } from '../signer-key.ts';
import { type Blob, blobHead } from './blob.ts';
import { childOf, hashedNodes, usedImages } from './configuration.ts';
import {
  configurationToSign,
  type FitAlgorithm,
  fitAlgorithm,
  type SignaturePlace,
  signaturePlaces,
  WRITTEN,
} from './signature-node.ts';
import { padded, readSignedTree, signedBytes, word } from './signed-tree.ts';
import { PROPERTY, type TreeNode } from './structure.ts';
import { aligned, checkData, type ImageTree, readImageTree } from './tree.ts';

/** Octets that go into the structure block at a place. */
interface Insertion {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * The image with its signatures in their places, each with what mkimage writes beside it. Names of properties that are
 * new go behind the strings that were hashed; all else stands as it stood.
 * @throws KeysteadError `firmware.malformed` for an image that was swapped, `firmware.key-unsuitable` where a key has no place.
 */
export async function* assembleFit(
  image: ImageBytes,
  subject: Uint8Array,
  made: readonly MadeSignature[],
): AsyncGenerator<Uint8Array> {
  if (made.length === 0) throw new RangeError('no signature');
  const tree = await readImageTree(image);
  const { configuration, hashedNodes: covered, stringsBytes } = readSignedTree(subject);
  const target = childOf(childOf(tree.root, 'configurations'), configuration.name);
  if (!sameBytes(signedBytes(tree.root, covered, tree.strings.subarray(0, stringsBytes)), subject)) {
    throw malformed('image', 'another than what was signed');
  }
  // The signature covers the hashes: data that was changed since would be found by the device alone.
  await checkData(image, tree, usedImages(tree.root, target));
  const values = made.map((one) => {
    const value = signerKey(one).algorithm === 'P-256' ? ecdsaNumbers(one.signature, 32) : one.signature;
    return { of: requireFit(one), value, time: one.time };
  });
  yield* pieces(image, tree, grownTree(tree, target, values, { hashedNodes: covered, stringsBytes }));
}

/**
 * That the image has a place for the signature of each key, and room for what is written there.
 * @throws KeysteadError `firmware.key-unsuitable`, `firmware.malformed`.
 */
export async function requireFitRoom(image: ImageBytes, keys: readonly FormatKey[]): Promise<void> {
  const tree = await readImageTree(image);
  const target = configurationToSign(tree.root);
  const covered = hashedNodes(target, usedImages(tree.root, target));
  const values = keys.map((key) => ({
    of: fitOf(key),
    value: new Uint8Array(key.algorithm === 'P-256' ? 64 : Number(key.algorithm.slice('RSA-'.length)) / 8),
    time: new Date(0),
  }));
  grownTree(tree, target, values, { hashedNodes: covered, stringsBytes: tree.strings.length });
}

/** A signature as it is written into its place. */
interface PlacedValue {
  readonly of: FitAlgorithm;
  readonly value: Uint8Array;
  readonly time: Date;
}

/** What a tree becomes with its signatures. */
interface GrownTree {
  readonly insertions: readonly Insertion[];
  readonly strings: Buffer;
  readonly blob: Blob;
}

/** @throws KeysteadError `firmware.key-unsuitable` without a place, `firmware.malformed` without room before the data. */
function grownTree(
  tree: ImageTree,
  configuration: TreeNode,
  values: readonly PlacedValue[],
  covered: { readonly hashedNodes: readonly string[]; readonly stringsBytes: number },
): GrownTree {
  const free = signaturePlaces(configuration).filter(({ signed }) => !signed);
  const strings = new Strings(tree.strings);
  const insertions = values.map(({ of, value, time }) => {
    const place = placeFor(of, free);
    free.splice(free.indexOf(place), 1);
    return { at: place.node.propertiesAt, bytes: writtenProperties(strings, { value, time, ...covered }) };
  });
  insertions.sort((a, b) => a.at - b.at);
  const blob = grown(tree.blob, insertions, strings.bytes);
  if (tree.external === 'position' && blob.totalBytes > tree.externalAt) {
    const missing = blob.totalBytes - tree.externalAt;
    throw malformed('data-position', `no room for a signature, ${missing} octets are missing`);
  }
  return { insertions, strings: strings.bytes, blob };
}

function placeFor({ algorithm, padding }: FitAlgorithm, free: readonly SignaturePlace[]): SignaturePlace {
  const place = free.find((each) => each.algorithm === algorithm && each.padding === padding);
  if (place !== undefined) return place;
  const places = free.map(fitName).join(' and ') || 'none';
  throw unsuitable(`${fitName({ algorithm, padding })}; the image has places for ${places}`);
}

/** @throws KeysteadError `firmware.key-unsuitable`. */
export const requireFit = (terms: Pick<SigningTerms, 'signer' | 'scheme'>): FitAlgorithm => fitOf(signerKey(terms));

function fitOf(key: FormatKey): FitAlgorithm {
  const algorithm = fitAlgorithm(key);
  if (algorithm !== undefined) return algorithm;
  throw unsuitable(`${described(key)}; U-Boot takes RSA-2048, RSA-3072, RSA-4096, P-256`);
}

const fitName = ({ algorithm, padding }: FitAlgorithm): string =>
  padding === 'pss' ? `${algorithm} with RSASSA-PSS` : algorithm;

/** What stands in a signed place, the last that libfdt would set first. @param time seconds are kept, in 32 bits. */
function writtenProperties(
  strings: Strings,
  written: { value: Uint8Array; time: Date; hashedNodes: readonly string[]; stringsBytes: number },
): Uint8Array {
  const values: Readonly<Record<(typeof WRITTEN)[number], Uint8Array>> = {
    value: written.value,
    'signer-name': Buffer.from('keystead\0'),
    // Of the form of what is signed, not of the program: it must not change a byte when the program is updated.
    'signer-version': Buffer.from('1\0'),
    timestamp: word(Math.floor(written.time.getTime() / 1000) >>> 0),
    'hashed-nodes': Buffer.from(`${written.hashedNodes.join('\0')}\0`, 'latin1'),
    // The first number is a legacy offset that must be 0.
    'hashed-strings': Buffer.concat([word(0), word(written.stringsBytes)]),
  };
  const properties = WRITTEN.map((name) => {
    const value = values[name];
    return Buffer.concat([word(PROPERTY), word(value.length), word(strings.offsetOf(name)), padded(value)]);
  });
  return Buffer.concat(properties.reverse());
}

/** A strings block that grows at its end. */
class Strings {
  bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Also within a longer one, as libfdt looks for it. */
  offsetOf(name: string): number {
    const text = Buffer.from(`${name}\0`, 'latin1');
    const found = this.bytes.indexOf(text);
    if (found !== -1) return found;
    const offset = this.bytes.length;
    this.bytes = Buffer.concat([this.bytes, text]);
    return offset;
  }
}

async function* pieces(
  image: ImageBytes,
  tree: ImageTree,
  { insertions, strings, blob }: GrownTree,
): AsyncGenerator<Uint8Array> {
  const { structureAt, structureBytes, totalBytes } = tree.blob;
  yield blobHead(blob);
  let at = structureAt;
  for (const { at: place, bytes } of insertions) {
    yield* piecesOf(image, at, structureAt + place);
    yield bytes;
    at = structureAt + place;
  }
  yield* piecesOf(image, at, structureAt + structureBytes);
  yield strings;
  yield Buffer.alloc(blob.totalBytes - blob.stringsAt - blob.stringsBytes);
  if (tree.external === 'offset') yield* piecesOf(image, aligned(totalBytes));
  // Data stays where it stands: the tree grows into what is free before it.
  if (tree.external === 'position') yield* piecesOf(image, blob.totalBytes);
}

function grown(blob: Blob, insertions: readonly Insertion[], strings: Buffer): Blob {
  const structureBytes = blob.structureBytes + insertions.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const [reservedAt, structureAt] = [40, 56];
  const stringsAt = structureAt + structureBytes;
  const stringsBytes = strings.length;
  return {
    ...blob,
    reservedAt,
    structureAt,
    structureBytes,
    stringsAt,
    stringsBytes,
    totalBytes: aligned(stringsAt + stringsBytes),
  };
}
