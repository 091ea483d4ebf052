import { toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { contentOf, contentSubject, hashContent, isContentOf, readContentSubject } from '../cms/content-subject.ts';
import { detachedAttributes, detachedSignature } from '../cms/detached.ts';
import { signsCms } from '../cms/signers.ts';
import type { FirmwareClaims, FirmwareFormat } from '../format.ts';
import type { ImageBytes } from '../image.ts';
import { malformed } from '../malformed.ts';
import { MOST_SIGNATURE_BYTES, SIZE_BYTES } from './signature.ts';
import { readSquashfs, type Squashfs } from './squashfs.ts';

/** The manifest stands inside of the file system, which keyd does not see: it signs the digest of all of it. */
const NOTHING_CLAIMED: FirmwareClaims = { product: null, version: null, securityCounter: null };

/** @throws KeysteadError `firmware.malformed`, `firmware.signed-already`. */
async function unsignedBundle(image: ImageBytes): Promise<Squashfs> {
  const squashfs = await readSquashfs(image);
  const more = image.size - squashfs.end;
  if (more === 0) return squashfs;
  const tail = Buffer.from(await image.read(Math.max(0, image.size - SIZE_BYTES), SIZE_BYTES));
  const field = 'the end of the bundle';
  const signed = tail.length === SIZE_BYTES ? tail.readBigUInt64BE() : 0n;
  if (signed > 0n && signed <= MOST_SIGNATURE_BYTES && signed + BigInt(SIZE_BYTES) <= more)
    throw new KeysteadError('firmware.signed-already', { field, seen: `a signature of ${signed} bytes` });
  throw malformed(field, `${more} bytes after the file system`);
}

/**
 * A RAUC bundle of the format `plain`: a squashfs with `manifest.raucm`, a detached CMS signature over all of it, and
 * the size of that as 8 octets, big-endian. `rauc info --keyring` verifies it. Keys as for `cms`.
 */
export const rauc: FirmwareFormat = {
  name: 'rauc',
  title: 'RAUC update bundle (squashfs, format plain) with its CMS signature, for rauc',
  stamped: true,
  signedBy: (key) => signsCms(key, ['sha256']),
  async read(image) {
    const { compression, inodes, madeAt } = await unsignedBundle(image);
    const content = await hashContent(image);
    return {
      ...NOTHING_CLAIMED,
      format: 'rauc',
      shown: [
        { name: 'bundle format', value: 'plain' },
        { name: 'compression', value: compression },
        { name: 'files and directories', value: String(inodes) },
        { name: 'file system made at', value: madeAt.toISOString() },
        { name: 'bytes', value: String(content.bytes) },
        { name: 'sha256', value: toHex(content.sha256) },
      ],
      signatures: 0,
      subject: contentSubject(content),
    };
  },
  claims(subject) {
    readContentSubject(subject);
    return NOTHING_CLAIMED;
  },
  isOfImage: isContentOf,
  compose: detachedAttributes,
  async *assemble(image, subject, made) {
    await unsignedBundle(image);
    const signature = detachedSignature(subject, made);
    yield* contentOf(image, subject);
    yield signature;
    const size = Buffer.alloc(SIZE_BYTES);
    size.writeBigUInt64BE(BigInt(signature.length));
    yield size;
  },
};
