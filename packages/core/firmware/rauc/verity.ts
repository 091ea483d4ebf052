import { sameBytes, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readSigned } from '../../x509/cms/index.ts';
import { contentAttributes, signedContent } from '../cms/detached.ts';
import { signsCms } from '../cms/signers.ts';
import type { FirmwareClaims, FirmwareFormat } from '../format.ts';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { BLOCK, HashTree } from './hash-tree.ts';
import { type RaucManifest, readRaucManifest } from './manifest.ts';
import { MOST_SIGNATURE_BYTES, raucSignature, SIZE_BYTES } from './signature.ts';
import { readSquashfs } from './squashfs.ts';

/** A bundle taken apart: its manifest as it stands, and where the squashfs ends and its hash tree begins. */
interface Bundle {
  readonly manifest: Uint8Array;
  readonly said: RaucManifest;
  readonly payload: number;
}

/**
 * A RAUC bundle of the format `verity`: a squashfs, a hash tree of dm-verity over it, and a CMS signature that holds the
 * manifest, in which the top of the tree stands. `rauc bundle` makes none without a signature, so that what is read here
 * has that of whoever built it, which says nothing and is replaced, as `rauc resign` does it. The subject is the manifest:
 * keyd reads it, and holds product and version of the order to it. Keys as for `cms`.
 */
export const raucVerity: FirmwareFormat = {
  name: 'rauc-verity',
  title: 'RAUC update bundle (squashfs, format verity) with its manifest in its CMS signature, for rauc',
  places: ['product', 'version'],
  stamped: true,
  signedBy: (key) => signsCms(key, ['sha256']),
  async read(image) {
    const bundle = await bundleOf(image);
    const { manifest, said, payload } = bundle;
    const { compression, inodes, madeAt } = await readSquashfs(image);
    await checkTree(image, bundle);
    return {
      ...claimsOf(said),
      format: 'rauc-verity',
      shown: [
        ...said.entries.map(({ group, key, value }) => ({ name: `${group}: ${key}`, value: cut(value) })),
        { name: 'compression', value: compression },
        { name: 'files and directories', value: String(inodes) },
        { name: 'file system made at', value: madeAt.toISOString() },
        { name: 'bytes of the file system', value: String(payload) },
        { name: 'SHA-256 of the manifest', value: toHex(sha256(manifest)) },
      ],
      // That of the build is replaced, whoever made it.
      signatures: 0,
      subject: manifest,
    };
  },
  claims: (subject) => claimsOf(readRaucManifest(subject)),
  compose(subject, terms) {
    readRaucManifest(subject);
    return contentAttributes(sha256(subject), terms);
  },
  assemble,
};

const claimsOf = ({ compatible, version }: RaucManifest): FirmwareClaims => ({
  product: compatible,
  version,
  securityCounter: null,
});

/** @throws KeysteadError `firmware.malformed`. */
async function bundleOf(image: ImageBytes): Promise<Bundle> {
  const { content, signature } = await raucSignature(image);
  const manifest = manifestIn(signature);
  const said = readRaucManifest(manifest);
  const payload = content - said.verity.bytes;
  const { end } = await readSquashfs(image);
  if (payload !== end || payload % BLOCK !== 0 || payload < 2 * BLOCK) {
    throw malformed(
      'manifest: bundle verity-size',
      `${said.verity.bytes}, of ${content} bytes with a squashfs of ${end}`,
    );
  }
  return { manifest, said, payload };
}

function manifestIn(signature: Uint8Array): Uint8Array {
  try {
    const { content } = readSigned(signature);
    if (content !== undefined) return Uint8Array.from(content);
  } catch (cause) {
    if (cause instanceof KeysteadError) throw malformed('the signature of the build', cause.message);
    throw cause;
  }
  throw malformed('the signature of the build', 'no manifest in it: the bundle is of the format plain');
}

/** The tree is of this squashfs, and its top is in the manifest. @throws KeysteadError `firmware.malformed`. */
async function checkTree(image: ImageBytes, { said, payload }: Bundle): Promise<void> {
  const made = new HashTree(said.verity.salt);
  for await (const piece of piecesOf(image, 0, payload)) made.update(piece);
  const tree = treeOf(made, said);
  let at = 0;
  for await (const piece of piecesOf(image, payload, payload + tree.length)) {
    if (!sameBytes(piece, tree.subarray(at, at + piece.length)))
      throw malformed('the hash tree', 'that of other bytes');
    at += piece.length;
  }
}

function treeOf(made: HashTree, { verity }: RaucManifest): Uint8Array {
  const { root, tree } = made.finish();
  if (!sameBytes(root, verity.hash)) throw malformed('manifest: bundle verity-hash', 'that of other bytes');
  if (tree.length !== verity.bytes)
    throw malformed('manifest: bundle verity-size', `${verity.bytes}, not ${tree.length}`);
  return tree;
}

/** The squashfs as it stands, hashed on the way: what comes out is what was signed, or it ends with the error. */
async function* assemble(
  image: ImageBytes,
  subject: Uint8Array,
  made: Parameters<FirmwareFormat['assemble']>[2],
): AsyncGenerator<Uint8Array> {
  const { manifest, said, payload } = await bundleOf(image);
  if (!sameBytes(manifest, subject)) throw malformed('image', 'another than what was signed');
  const signature = signedContent(subject, made);
  if (signature.length > MOST_SIGNATURE_BYTES) throw malformed('the signature', `${signature.length} octets`);
  const hashes = new HashTree(said.verity.salt);
  for await (const piece of piecesOf(image, 0, payload)) {
    hashes.update(piece);
    yield piece;
  }
  yield treeOf(hashes, said);
  yield signature;
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeBigUInt64BE(BigInt(signature.length));
  yield size;
}

/** What is cut says so. */
const cut = (text: string): string =>
  text.length <= 200 ? text : `${text.slice(0, 200)}… of ${text.length} characters`;
