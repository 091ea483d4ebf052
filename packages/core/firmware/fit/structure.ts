import { malformed } from '../malformed.ts';

// Devicetree Specification v0.4 section 5.4: tokens, 32 bits each, aligned to 32 bits.
export const BEGIN_NODE = 1;
export const END_NODE = 2;
export const PROPERTY = 3;
export const END = 9;

/** A property; places are octets from the beginning of the structure block. */
export interface Property {
  readonly name: string;
  /** Of the name in the strings block. */
  readonly nameOffset: number;
  readonly valueAt: number;
  readonly length: number;
  /** Null for a value longer than {@link LONGEST_VALUE}, which is data of an image and is not looked at as a property. */
  readonly value: Buffer | null;
}

export interface TreeNode {
  /** Empty for the root. */
  readonly name: string;
  /** `/`, `/images/kernel-1`. */
  readonly path: string;
  /** Where its properties begin: after its token and name. */
  readonly propertiesAt: number;
  readonly properties: ReadonlyMap<string, Property>;
  readonly children: ReadonlyMap<string, TreeNode>;
}

export interface Range {
  readonly at: number;
  readonly length: number;
}

/** What is longer stands for itself in no message and in no subject: public keys, hashes and lists are below. */
export const LONGEST_VALUE = 16 * 1024;
/** FDT_MAX_DEPTH of U-Boot is 32; images/x/hash-1 needs three. */
const DEEPEST = 8;
const MOST_NODES = 2048;
const MOST_PROPERTIES = 16 * 1024;
/** Of all values that are kept: each node may have the longest. */
const MOST_VALUE_BYTES = MOST_NODES * LONGEST_VALUE;
/** fdt_find_regions of U-Boot has 200 octets for a path. */
const LONGEST_PATH = 190;
// `@` is refused: libfdt takes names that differ after it for one (CVE-2021-27138).
const NODE_NAME = /^[A-Za-z0-9,._+-]{1,63}$/;
const PROPERTY_NAME = /^[A-Za-z0-9,._+?#-]{1,63}$/;

/**
 * Reads a structure block that is exactly `size` octets, strictly: one root, no token that says nothing, no name twice
 * among siblings. Asks for each part by yielding its range, so that a file larger than memory can be read, and bytes
 * in memory at once.
 * @throws KeysteadError `firmware.malformed`.
 */
export function* structureOf(size: number, strings: Buffer): Generator<Range, TreeNode, Buffer> {
  let [at, nodes, properties, kept] = [0, 0, 0, 0];

  function* word(): Generator<Range, number, Buffer> {
    if (at + 4 > size) throw malformed('structure', `cut off at octet ${at}`);
    const bytes = yield { at, length: 4 };
    if (bytes.length !== 4) throw malformed('structure', `cut off at octet ${at}`);
    at += 4;
    return bytes.readUInt32BE(0);
  }

  /** What fills up to four octets is hashed as it stands, so that it must be what everybody writes. */
  function zeros(filling: Buffer, octets: number): void {
    if (filling.length !== octets || filling.some((octet) => octet !== 0)) {
      throw malformed('structure', `cut off or filled with other than zeros at octet ${at}`);
    }
  }

  function* nodeName(): Generator<Range, string, Buffer> {
    const bytes = yield { at, length: Math.min(64, size - at) };
    const end = bytes.indexOf(0);
    if (end === -1) throw malformed('structure', `a name without an end at octet ${at}`);
    const next = (end + 4) & ~3;
    zeros(bytes.subarray(end, next), next - end);
    at += next;
    return bytes.toString('latin1', 0, end);
  }

  function* property(path: string): Generator<Range, Property, Buffer> {
    if (++properties > MOST_PROPERTIES) throw malformed('structure', `more than ${MOST_PROPERTIES} properties`);
    const [length, nameOffset] = [yield* word(), yield* word()];
    const name = propertyName(strings, nameOffset);
    const valueAt = at;
    if (length > size - at) throw malformed(`${path}: ${name}`, `${length} octets, beyond the structure`);
    const padding = -length & 3;
    if (length > LONGEST_VALUE) {
      at += length + padding;
      return { name, nameOffset, valueAt, length, value: null };
    }
    kept += length;
    if (kept > MOST_VALUE_BYTES) throw malformed('structure', `values of more than ${MOST_VALUE_BYTES} octets`);
    const bytes = yield { at, length: length + padding };
    zeros(bytes.subarray(length), padding);
    at += length + padding;
    // A copy: what it was read with is not kept.
    return { name, nameOffset, valueAt, length, value: Buffer.from(bytes.subarray(0, length)) };
  }

  function* node(parent: string, depth: number): Generator<Range, TreeNode, Buffer> {
    if (++nodes > MOST_NODES) throw malformed('structure', `more than ${MOST_NODES} nodes`);
    if (depth > DEEPEST) throw malformed(parent, `nodes deeper than ${DEEPEST}`);
    const name = yield* nodeName();
    if (depth === 0 ? name !== '' : !NODE_NAME.test(name)) {
      throw malformed(parent || 'structure', 'a node whose name is not of letters, digits and ,._+-');
    }
    const path = depth === 0 ? '/' : `${parent === '/' ? '' : parent}/${name}`;
    if (path.length > LONGEST_PATH) throw malformed(parent, `a path of ${path.length} characters`);
    const [own, children] = [new Map<string, Property>(), new Map<string, TreeNode>()];
    const propertiesAt = at;
    for (;;) {
      const token = yield* word();
      if (token === END_NODE) return { name, path, propertiesAt, properties: own, children };
      if (token === PROPERTY) {
        const next = yield* property(path);
        if (children.size > 0) throw malformed(`${path}: ${next.name}`, 'a property after a node');
        if (own.has(next.name)) throw malformed(`${path}: ${next.name}`, 'twice');
        own.set(next.name, next);
      } else if (token === BEGIN_NODE) {
        const child = yield* node(path, depth + 1);
        if (children.has(child.name)) throw malformed(child.path, 'twice');
        children.set(child.name, child);
      } else throw malformed(path, `token ${token} at octet ${at - 4}`);
    }
  }

  if ((yield* word()) !== BEGIN_NODE) throw malformed('structure', 'no root');
  const root = yield* node('', 0);
  // A second root would be signed by one reader and used by another (CVE-2021-27097).
  if ((yield* word()) !== END) throw malformed('structure', 'something after the root');
  if (at !== size) throw malformed('structure', `${size} octets, its end at ${at}`);
  return root;
}

function propertyName(strings: Buffer, offset: number): string {
  const end = strings.indexOf(0, offset);
  const name =
    offset < strings.length && end !== -1 && end - offset < 64 ? strings.toString('latin1', offset, end) : '';
  if (!PROPERTY_NAME.test(name)) throw malformed('strings', `no name of a property at ${offset}`);
  return name;
}

/** The strings of a list, each ended by a zero; undefined for what is none. */
export function stringList(value: Buffer | null): readonly string[] | undefined {
  if (value === null || value.length === 0 || value.at(-1) !== 0) return undefined;
  const strings = value.toString('latin1', 0, value.length - 1).split('\0');
  return strings.every((text) => /^[\x20-\x7e]{1,200}$/.test(text)) ? strings : undefined;
}

/** The one string of a property; undefined where it is not there or is none. */
export function stringOf(node: TreeNode, name: string): string | undefined {
  const strings = stringList(node.properties.get(name)?.value ?? null);
  return strings?.length === 1 ? strings[0] : undefined;
}

/** The one number of 32 bits of a property; undefined where it is not there or is none. */
export function numberOf(node: TreeNode, name: string): number | undefined {
  const value = node.properties.get(name)?.value;
  return value?.length === 4 ? value.readUInt32BE(0) : undefined;
}
