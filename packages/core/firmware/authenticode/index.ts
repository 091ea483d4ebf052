import { toHex } from '../../bytes/index.ts';
import { signsCms } from '../cms/signers.ts';
import type { FirmwareClaims, FirmwareFormat } from '../format.ts';
import { sumsOf } from './image-digest.ts';
import { imageDigestOf, indirectData } from './indirect-data.ts';
import { readPe } from './pe.ts';
import { authenticodeAttributes, signedImage } from './signed-image.ts';

/** A PE image says nothing of itself that every one of them has; its version resource is for people. */
const NOTHING_CLAIMED: FirmwareClaims = { product: null, version: null, securityCounter: null };

/**
 * A PE/COFF image with an Authenticode signature, as UEFI Secure Boot wants it: `sbverify --cert` verifies it. Keys:
 * RSA-2048, RSA-3072 and RSA-4096, which all firmware knows, and P-256 and P-384, which little does.
 */
export const authenticode: FirmwareFormat = {
  name: 'authenticode',
  title: 'UEFI program (PE/COFF) with an Authenticode signature, for UEFI Secure Boot and sbverify',
  signedBy: (key) => signsCms(key),
  async read(image) {
    const pe = await readPe(image);
    const { sha256 } = await sumsOf(image, pe);
    return {
      ...NOTHING_CLAIMED,
      format: 'authenticode',
      shown: [
        { name: 'machine', value: pe.machine },
        { name: 'subsystem', value: pe.subsystem },
        ...pe.sections.map(({ name, bytes }) => ({ name: `section ${name}`, value: `${bytes} bytes` })),
        { name: 'bytes', value: String(pe.size) },
        { name: 'Authenticode sha256', value: toHex(sha256) },
      ],
      signatures: 0,
      subject: indirectData(sha256),
    };
  },
  claims(subject) {
    imageDigestOf(subject);
    return NOTHING_CLAIMED;
  },
  compose: authenticodeAttributes,
  assemble: signedImage,
};
