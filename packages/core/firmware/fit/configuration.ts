import { malformed } from '../malformed.ts';
import { stringList, stringOf, type TreeNode } from './structure.ts';

// doc/usage/fit/source_file_format.rst and signature.rst of U-Boot; boot/image-fit-sig.c, tools/image-host.c.

/** What U-Boot leaves out of the hash of an image node: its data, which the hash nodes speak for. */
export const DATA_PROPERTIES: ReadonlySet<string> = new Set(['data', 'data-size', 'data-position', 'data-offset']);
/** Of a configuration, what names no image. */
const DESCRIPTIVE: ReadonlySet<string> = new Set(['description', 'compatible', 'default']);
/** Nodes of an image that its signature covers besides those of hashes. */
const COVERED = new Set(['cipher', 'dm-verity']);
/** IMAGE_MAX_HASHED_NODES. */
const MOST_HASHED_NODES = 100;

/** Algorithms of hash nodes under which a signature means something, with the octets of each. */
export const STRONG_HASHES: ReadonlyMap<string, number> = new Map([
  ['sha256', 32],
  ['sha384', 48],
  ['sha512', 64],
]);

export const isHashNode = ({ name }: TreeNode): boolean => name.startsWith('hash');
export const isSignatureNode = ({ name }: TreeNode): boolean => name.startsWith('signature');

/** An image that a configuration uses, and as what: `kernel`, `fdt`, `loadables`. */
export interface UsedImage {
  readonly use: string;
  readonly node: TreeNode;
  /** The strong hash of its data, as its first strong hash node has it. */
  readonly hash: { readonly algorithm: string; readonly value: Buffer };
}

/** @throws KeysteadError `firmware.malformed`. */
export function childOf(node: TreeNode, name: string): TreeNode {
  const child = node.children.get(name);
  if (child === undefined) throw malformed(node.path, `no node ${name}`);
  return child;
}

/**
 * Every image that a configuration names, by any property: U-Boot of today covers all of them, and mkimage of before only
 * what `sign-images` lists, which leaves a ramdisk open when it was forgotten.
 * @throws KeysteadError `firmware.malformed` for a name of no image, and an image without a strong hash.
 */
export function usedImages(root: TreeNode, configuration: TreeNode): readonly UsedImage[] {
  const images = childOf(root, 'images');
  const used: UsedImage[] = [];
  for (const { name: use, value } of configuration.properties.values()) {
    if (DESCRIPTIVE.has(use)) continue;
    const names = stringList(value);
    if (names === undefined) continue;
    // `load-only`, a version, and whatever else a maker writes: only what names an image is one.
    const found = names.flatMap((name) => images.children.get(name) ?? []);
    if (found.length > 0 && found.length < names.length) {
      throw malformed(`${configuration.path}: ${use}`, 'an image that is not there');
    }
    // Before any is looked at: keyd reads this, and a hostile list of 2^20 names would hold it up for minutes.
    if (used.length + found.length > MOST_HASHED_NODES) {
      throw malformed(`${configuration.path}: ${use}`, `${used.length + found.length} images, above 100`);
    }
    used.push(...found.map((node) => ({ use, node, hash: strongHash(node) })));
  }
  for (const use of ['kernel', 'firmware', 'fdt', 'ramdisk', 'loadables', 'fpga', 'setup', 'script', 'standalone']) {
    if (configuration.properties.has(use) && !used.some((image) => image.use === use)) {
      throw malformed(`${configuration.path}: ${use}`, 'an image that is not there');
    }
  }
  if (used.length === 0) throw malformed(configuration.path, 'no image that it uses');
  return used;
}

function strongHash(image: TreeNode): UsedImage['hash'] {
  for (const node of image.children.values()) {
    if (!isHashNode(node)) continue;
    const [algorithm, value] = [stringOf(node, 'algo') ?? '', node.properties.get('value')?.value];
    const octets = STRONG_HASHES.get(algorithm);
    if (octets === undefined) continue;
    // fit_image_check_hash of U-Boot says "skipped" to such a one, and boots.
    if (node.properties.has('uboot-ignore'))
      throw malformed(`${node.path}: uboot-ignore`, 'a hash that is not checked');
    if (value?.length === octets) return { algorithm, value };
    throw malformed(node.path, `no value of ${octets} octets`);
  }
  throw malformed(image.path, 'no hash node of sha256, sha384 or sha512, without which its data is not protected');
}

/**
 * The paths of the nodes that a signature of a configuration covers, as `hashed-nodes` lists them: the root, the
 * configuration, and each image with its hashes.
 */
export function hashedNodes(configuration: TreeNode, used: readonly UsedImage[]): readonly string[] {
  const paths = new Set(['/', configuration.path]);
  for (const { node } of used) {
    paths.add(node.path);
    const children = [...node.children.values()];
    for (const child of children.filter(isHashNode)) paths.add(child.path);
    for (const child of children.filter(({ name }) => COVERED.has(name))) paths.add(child.path);
  }
  if (paths.size > MOST_HASHED_NODES) throw malformed(configuration.path, `${paths.size} nodes to hash, above 100`);
  return [...paths];
}
