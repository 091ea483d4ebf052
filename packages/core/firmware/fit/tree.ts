import { createHash } from 'node:crypto';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { type Blob, HEADER_BYTES, readBlob } from './blob.ts';
import { isHashNode, STRONG_HASHES, type UsedImage } from './configuration.ts';
import { numberOf, type Range, stringOf, structureOf, type TreeNode } from './structure.ts';

/** A flattened image tree, of which the data stays in the file. */
export interface ImageTree {
  readonly blob: Blob;
  readonly strings: Buffer;
  readonly root: TreeNode;
  /** Of each node of /images its data, octets of the file. */
  readonly data: ReadonlyMap<TreeNode, Range>;
  /** Whether data stands behind the tree: not at all, counted from its end, or from the beginning of the file. */
  readonly external: 'none' | 'offset' | 'position';
  /** Where the first octet of external data is; the end of the file where there is none. */
  readonly externalAt: number;
}

/** Octets that are read at once where tokens are read. */
const WINDOW = 16 * 1024;
/** mkimage -B aligns data to a block of storage. */
const LARGEST_ALIGNMENT = 4096;

/**
 * Reads a tree and checks that it has its data, with nothing after it. Memory is bounded, whatever the size.
 * @throws KeysteadError `firmware.malformed`.
 */
export async function readImageTree(image: ImageBytes): Promise<ImageTree> {
  const blob = readBlob(await image.read(0, HEADER_BYTES), image.size);
  const strings = await bytesOf(image, { at: blob.stringsAt, length: blob.stringsBytes });
  const reservations = await bytesOf(image, { at: blob.reservedAt, length: 16 });
  if (reservations.some((octet) => octet !== 0)) throw malformed('reserved memory', 'something reserved');
  const root = await readStructure(image, blob, strings);
  const images = root.children.get('images');
  if (images === undefined) throw malformed('/', 'no node images');
  const nodes = [...images.children.values()];
  const placed = nodes.map((node) => ({ node, ...placeOf(node, blob) }));
  const kinds = new Set(placed.map(({ kind }) => kind).filter((kind) => kind !== 'none'));
  if (kinds.size > 1) throw malformed('/images', 'both data-offset and data-position');
  // What is hashed is then no longer than the file.
  if (placed.reduce((sum, { range }) => sum + range.length, 0) > image.size) {
    throw malformed('/images', 'data that overlaps, or is not there');
  }
  const outside = placed.filter(({ kind }) => kind !== 'none');
  const end = Math.max(blob.totalBytes, ...outside.map(({ range }) => range.at + range.length));
  const slack = outside.length === 0 ? 0 : LARGEST_ALIGNMENT - 1;
  if (image.size < end || image.size > end + slack)
    throw malformed('image', `${image.size} octets, ${end} by its tree`);
  const filling = await bytesOf(image, { at: end, length: image.size - end });
  if (filling.some((octet) => octet !== 0)) throw malformed('image', `something after its end at ${end}`);
  return {
    blob,
    strings,
    root,
    data: new Map(placed.map(({ node, range }) => [node, range])),
    external: [...kinds][0] ?? 'none',
    externalAt: Math.min(image.size, ...outside.map(({ range }) => range.at)),
  };
}

async function readStructure(image: ImageBytes, blob: Blob, strings: Buffer): Promise<TreeNode> {
  const reader = structureOf(blob.structureBytes, strings);
  let [window, from]: [Buffer, number] = [Buffer.alloc(0), 0];
  let step = reader.next();
  while (step.done !== true) {
    const { at, length } = step.value;
    if (at < from || at + length > from + window.length) {
      const most = Math.min(Math.max(length, WINDOW), blob.structureBytes - at);
      window = await bytesOf(image, { at: blob.structureAt + at, length: most });
      from = at;
    }
    step = reader.next(window.subarray(at - from, at - from + length));
  }
  return step.value;
}

function placeOf(node: TreeNode, blob: Blob): { readonly kind: ImageTree['external']; readonly range: Range } {
  const data = node.properties.get('data');
  const [offset, position] = [node.properties.has('data-offset'), node.properties.has('data-position')];
  if (Number(data !== undefined) + Number(offset) + Number(position) !== 1) {
    throw malformed(node.path, 'not one of data, data-offset and data-position');
  }
  if (data !== undefined) {
    return { kind: 'none', range: { at: blob.structureAt + data.valueAt, length: data.length } };
  }
  const kind = offset ? 'offset' : 'position';
  const [at, length] = [numberOf(node, `data-${kind}`), numberOf(node, 'data-size')];
  if (at === undefined || length === undefined) throw malformed(node.path, `no data-size or no number data-${kind}`);
  const range = { at: offset ? aligned(blob.totalBytes) + at : at, length };
  if (range.at < blob.totalBytes) throw malformed(`${node.path}: data-position`, `${at}, inside the tree`);
  return { kind, range };
}

/**
 * Checks every strong hash of the images that are used against their data, each read once as a stream however often it
 * is used: what is approved is what is there.
 * @throws KeysteadError `firmware.malformed`.
 */
export async function checkData(image: ImageBytes, tree: ImageTree, used: readonly UsedImage[]): Promise<void> {
  for (const node of new Set(used.map((each) => each.node))) await checkHashes(image, tree, node);
}

async function checkHashes(image: ImageBytes, tree: ImageTree, node: TreeNode): Promise<void> {
  const { at, length } = tree.data.get(node) ?? { at: 0, length: 0 };
  const strong = [...node.children.values()].flatMap((child) => {
    const algorithm = stringOf(child, 'algo') ?? '';
    return isHashNode(child) && STRONG_HASHES.has(algorithm) ? [{ child, algorithm }] : [];
  });
  const hashes = new Map(strong.map(({ algorithm }) => [algorithm, createHash(algorithm)]));
  for await (const piece of piecesOf(image, at, at + length)) for (const hash of hashes.values()) hash.update(piece);
  const digests = new Map([...hashes].map(([algorithm, hash]) => [algorithm, hash.digest('hex')]));
  for (const { child, algorithm } of strong) {
    if (digests.get(algorithm) !== child.properties.get('value')?.value?.toString('hex')) {
      throw malformed(child.path, 'a value that is not the hash of the data');
    }
  }
}

export const aligned = (octets: number): number => octets + (-octets & 3);

async function bytesOf(image: ImageBytes, { at, length }: Range): Promise<Buffer> {
  const bytes = await image.read(at, length);
  if (bytes.length !== length) throw malformed('image', `cut off at octet ${at + bytes.length}`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
