import { toHex } from '../../bytes/index.ts';
import type { FirmwareClaims, FirmwareFormat } from '../format.ts';
import { contentOf, contentSubject, hashContent, isContentOf, readContentSubject } from './content-subject.ts';
import { detachedAttributes, detachedSignature } from './detached.ts';
import { signsCms } from './signers.ts';

/** A file that is signed by its digest says nothing of itself that a signature could be held to. */
const NOTHING_CLAIMED: FirmwareClaims = { product: null, version: null, securityCounter: null };

/**
 * A detached CMS signature over any file (RFC 5652): `openssl cms -verify -binary -content FILE` verifies it. Keys:
 * P-256 and RSA-3072; P-384 and RSA-4096 where the policy lets them sign over SHA-256, by which the content is hashed.
 */
export const cms: FirmwareFormat = {
  name: 'cms',
  title: 'detached CMS signature (RFC 5652) over a file, for openssl cms and whatever reads S/MIME',
  stamped: true,
  signedBy: (key) => signsCms(key, ['sha256']),
  async read(image) {
    const content = await hashContent(image);
    return {
      ...NOTHING_CLAIMED,
      format: 'cms',
      shown: [
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
    const signature = detachedSignature(subject, made);
    // Read to its end and dropped: what is given out is a signature of this image, or none.
    for await (const _ of contentOf(image, subject));
    yield signature;
  },
};
