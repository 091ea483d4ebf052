import { toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { type FirmwareClaims, type FirmwareFormat, type FirmwareReading, MOST_SUBJECT_BYTES } from '../format.ts';
import type { ImageBytes } from '../image.ts';
import { malformed } from '../malformed.ts';
import { assembleFit, requireFit, requireFitRoom } from './assemble.ts';
import { childOf, hashedNodes, type UsedImage, usedImages } from './configuration.ts';
import { configurationToSign, fitAlgorithm, signaturePlaces } from './signature-node.ts';
import { readSignedTree, signedBytes } from './signed-tree.ts';
import { stringOf, type TreeNode } from './structure.ts';
import { checkData, readImageTree } from './tree.ts';

/** A tree of kernel, firmware, device tree and more, of which U-Boot verifies one configuration before it boots it. */
export const FIT: FirmwareFormat = {
  name: 'fit',
  title: "U-Boot's flattened image tree: a signed configuration, verified by U-Boot (fit_check_sign)",
  signedBy: (key) => fitAlgorithm(key) !== undefined,
  read: readFit,
  requireRoom: requireFitRoom,
  claims: (subject) => {
    readSignedTree(bounded(subject));
    return NOTHING;
  },
  compose: (subject, terms) => {
    readSignedTree(bounded(subject));
    requireFit(terms);
    return subject;
  },
  assemble: assembleFit,
};

/** U-Boot knows neither a version nor a counter of a tree. */
const NOTHING: FirmwareClaims = { product: null, version: null, securityCounter: null };

async function readFit(image: ImageBytes): Promise<FirmwareReading> {
  const tree = await readImageTree(image);
  const configuration = configurationToSign(tree.root);
  const used = usedImages(tree.root, configuration);
  await checkData(image, tree, used);
  const subject = signedBytes(tree.root, hashedNodes(configuration, used), tree.strings);
  // What keyd will read is what was read here, or nobody is asked.
  readSignedTree(bounded(subject));
  const all = [...childOf(tree.root, 'configurations').children.values()];
  const signatures = all.flatMap(signaturePlaces).filter(({ signed }) => signed).length;
  const others = all.filter((node) => node !== configuration).map(({ name }) => name);
  const shown = [
    { name: 'description', value: descriptionOf(tree.root) },
    { name: 'configuration', value: `${configuration.name}: ${descriptionOf(configuration)}` },
    ...used.map((each) => ({ name: each.use, value: described(each, tree.data.get(each.node)?.length ?? 0) })),
    ...signaturePlaces(configuration).map(({ node, algorithm, padding, keyHint, signed }) => ({
      name: node.name,
      value: `${algorithm}${padding === 'pss' ? ' with RSASSA-PSS' : ''}, key ${keyHint ?? 'of any name'}${signed ? ', signed' : ''}`,
    })),
    { name: 'not signed by this', value: cut(others.join(', ') || 'no other configuration') },
    { name: 'SHA-256 of what is signed', value: toHex(sha256(subject)) },
  ];
  return { format: 'fit', ...NOTHING, shown, signatures, subject };
}

function described({ node, hash }: UsedImage, octets: number): string {
  const words = ['type', 'arch', 'os', 'compression'].flatMap((name) => stringOf(node, name) ?? []);
  const places = ['load', 'entry'].flatMap((name) => {
    const place = node.properties.get(name)?.value;
    // One cell or two.
    return place?.length === 4 || place?.length === 8 ? [`${name} 0x${place.toString('hex')}`] : [];
  });
  return `${node.name}: ${cut([...words, ...places].join(', '))}, ${octets} octets, ${hash.algorithm} ${toHex(hash.value)}`;
}

const descriptionOf = (node: TreeNode): string => cut(stringOf(node, 'description') ?? 'no description');
/** Names and strings of a tree are printable already. */
const cut = (text: string): string => text.slice(0, 160);

function bounded(subject: Uint8Array): Uint8Array {
  if (subject.length <= MOST_SUBJECT_BYTES) return subject;
  throw malformed('structure', `${subject.length} octets to sign, above ${MOST_SUBJECT_BYTES}`);
}
