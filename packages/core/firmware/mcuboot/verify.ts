import { type DerSpki, sameBytes } from '../../bytes/index.ts';
import { sha256, sha384, verifySignature } from '../../crypto/index.ts';
import type { FirmwareClaims } from '../format.ts';
import { malformed } from '../malformed.ts';
import { MCUBOOT, mcubootKey, schemeOfKey } from './format.ts';
import { HEADER_BYTES, TLV, TLV_INFO_MAGIC } from './layout.ts';
import { readHeader } from './signed-part.ts';
import { readTlvArea } from './tlv.ts';

/** A signed image, with those of the keys that have signed it. */
export interface VerifiedMCUboot {
  readonly claims: FirmwareClaims;
  readonly signers: readonly DerSpki[];
}

/**
 * Verifies an image as a bootloader does: the digest over header, code and protected TLVs, and each signature by the key
 * whose hash stands before it: ECDSA (P-256, P-384), Ed25519 over the digest, and RSASSA-PSS of RSA-2048 and RSA-3072
 * (bootutil/image_rsa.c). An image says which keys signed it by their hashes alone.
 * @param keys those that may have signed. @throws KeysteadError `firmware.malformed`.
 */
export function verifyMCUboot(image: Uint8Array, keys: readonly DerSpki[]): VerifiedMCUboot {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
  const { signedBytes } = readHeader(bytes.subarray(0, HEADER_BYTES));
  if (bytes.length <= signedBytes) throw malformed('TLVs', 'no digest and no signature behind the image');
  const signed = bytes.subarray(0, signedBytes);
  const tlvs = readTlvArea(bytes.subarray(signedBytes), TLV_INFO_MAGIC, 'unprotected TLVs');
  const digests = new Map([
    [TLV.sha256, sha256(signed)],
    [TLV.sha384, sha384(signed)],
  ] as const);
  const said = tlvs.filter(({ type }) => type === TLV.sha256 || type === TLV.sha384);
  if (said.length === 0) throw malformed('digest', 'none');
  for (const { type, value } of said)
    if (!sameBytes(value, digests.get(type === TLV.sha256 ? TLV.sha256 : TLV.sha384) ?? value.subarray(0, 0)))
      throw malformed('digest', 'that of another image');
  const signers = keys.filter((spki) => {
    const by = schemeOfKey(spki);
    if (by === undefined) return false;
    const { hash, signatureTlv, signs } = by.scheme;
    const keyHash = hash(mcubootKey(spki));
    const what = signs === 'digest' ? hash(signed) : signed;
    return tlvs.some(({ type, value }, at) => {
      const signature = tlvs[at + 1];
      if (type !== TLV.keyHash || !sameBytes(value, keyHash) || signature?.type !== signatureTlv) return false;
      return verifySignature(by.signature, spki, what, signature.value);
    });
  });
  return { claims: MCUBOOT.claims(signed), signers };
}
