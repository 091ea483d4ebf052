import { toHex } from '../../bytes/index.ts';
import type { FirmwareClaims, FirmwareFormat } from '../format.ts';
import { contentOf, contentSubject, hashContent, readContentSubject } from './content-subject.ts';
import { detachedAttributes, detachedSignature } from './detached.ts';

/** A file that is signed by its digest says nothing of itself that a signature could be held to. */
const NOTHING_CLAIMED: FirmwareClaims = { product: null, version: null, securityCounter: null };

/**
 * A detached CMS signature over any file (RFC 5652): `openssl cms -verify -binary -content FILE` verifies it. Keys:
 * P-256, RSA-2048, RSA-3072.
 */
export const cms: FirmwareFormat = {
  name: 'cms',
  title: 'detached CMS signature (RFC 5652) over a file, for openssl cms and whatever reads S/MIME',
  stamped: true,
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
  compose: detachedAttributes,
  async *assemble(image, subject, made) {
    const signature = detachedSignature(subject, made);
    // Read to its end and dropped: what is given out is a signature of this image, or none.
    for await (const _ of contentOf(image, subject));
    yield signature;
  },
};
