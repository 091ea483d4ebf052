import { malformed } from '../malformed.ts';
import { MOST_STRINGS_BYTES } from './blob.ts';
import { childOf, DATA_PROPERTIES, hashedNodes, type UsedImage, usedImages } from './configuration.ts';
import { BEGIN_NODE, END, END_NODE, PROPERTY, type Property, structureOf, type TreeNode } from './structure.ts';

/** What one signature of a tree covers. */
export interface SignedTree {
  readonly root: TreeNode;
  readonly configuration: TreeNode;
  readonly used: readonly UsedImage[];
  readonly hashedNodes: readonly string[];
  /** Octets of the strings block that are covered: those after it come with the signature. */
  readonly stringsBytes: number;
}

/**
 * The bytes that U-Boot hashes for a configuration (fdt_find_regions of boot/fdt_region.c, and the strings): of each node
 * in `hashed` its token, name, properties but data, and end; of each child of one its token, name and end. They are
 * themselves the structure block of a smaller tree, with its strings behind: {@link readSignedTree} reads them back.
 */
export function signedBytes(root: TreeNode, hashed: readonly string[], strings: Uint8Array): Uint8Array {
  const [parts, listed]: [Uint8Array[], ReadonlySet<string>] = [[], new Set(hashed)];
  const add = (node: TreeNode, above: number): void => {
    const want = listed.has(node.path) ? 2 : Math.max(above - 1, 0);
    if (want > 0) {
      parts.push(word(BEGIN_NODE), padded(Buffer.from(`${node.name}\0`, 'latin1')));
      if (want === 2) for (const property of node.properties.values()) parts.push(...propertyBytes(node, property));
    }
    for (const child of node.children.values()) add(child, want);
    if (want > 0) parts.push(word(END_NODE));
  };
  add(root, 0);
  return new Uint8Array(Buffer.concat([...parts, word(END), strings]));
}

function propertyBytes(node: TreeNode, { name, nameOffset, length, value }: Property): readonly Uint8Array[] {
  if (DATA_PROPERTIES.has(name)) return [];
  if (value === null) throw malformed(`${node.path}: ${name}`, `${length} octets`);
  return [word(PROPERTY), word(length), word(nameOffset), padded(value)];
}

/**
 * Takes apart what is signed, as {@link signedBytes} puts it together: whoever signs it knows from it alone which
 * configuration it is and by which hashes it holds its images.
 * @throws KeysteadError `firmware.malformed`, also where another tool would hash other bytes.
 */
export function readSignedTree(subject: Uint8Array): SignedTree {
  const bytes = Buffer.from(subject.buffer, subject.byteOffset, subject.length);
  const split = structureEnd(bytes);
  const strings = bytes.subarray(split);
  if (strings.length > MOST_STRINGS_BYTES) throw malformed('strings', `${strings.length} octets`);
  const reader = structureOf(split, strings);
  let step = reader.next();
  while (step.done !== true) step = reader.next(bytes.subarray(step.value.at, step.value.at + step.value.length));
  const root = step.value;
  const [configuration, ...more] = childOf(root, 'configurations').children.values();
  if (configuration === undefined || more.length > 0) throw malformed('/configurations', 'not one configuration');
  const used = usedImages(root, configuration);
  const hashed = hashedNodes(configuration, used);
  if (Buffer.compare(signedBytes(root, hashed, strings), bytes) !== 0) {
    throw malformed('structure', 'other nodes or properties than a signature covers');
  }
  return { root, configuration, used, hashedNodes: hashed, stringsBytes: strings.length };
}

/** Where FDT_END ends. Walks tokens alone: what they mean is checked afterwards, with the strings. */
function structureEnd(bytes: Buffer): number {
  let at = 0;
  while (at + 4 <= bytes.length) {
    const token = bytes.readUInt32BE(at);
    at += 4;
    if (token === END) return at;
    if (token === BEGIN_NODE) {
      const end = bytes.indexOf(0, at);
      if (end === -1) break;
      at = (end + 4) & ~3;
    } else if (token === PROPERTY) {
      if (at + 8 > bytes.length) break;
      const length = bytes.readUInt32BE(at);
      at += 8 + length + (-length & 3);
    } else if (token !== END_NODE) break;
  }
  throw malformed('structure', 'no end');
}

export function word(value: number): Uint8Array {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value, 0);
  return octets;
}

/** Filled with zeros to a multiple of four octets. */
export function padded(bytes: Uint8Array): Uint8Array {
  return bytes.length % 4 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
