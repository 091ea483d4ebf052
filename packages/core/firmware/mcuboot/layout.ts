// The published image format of MCUboot: docs/design.md of mcu-tools/mcuboot, boot/bootutil/include/bootutil/image.h,
// scripts/imgtool/image.py. All numbers are little-endian.

export const IMAGE_MAGIC = 0x96f3b83d;
/** struct image_header, octets; what an image has before its code is at least this and mostly more. */
export const HEADER_BYTES = 32;
/** struct image_tlv_info and struct image_tlv, octets. */
export const TLV_INFO_BYTES = 4;
export const TLV_HEAD_BYTES = 4;
export const TLV_INFO_MAGIC = 0x6907;
export const PROTECTED_INFO_MAGIC = 0x6908;

/** ih_flags that a signed image in the clear can have. */
export const FLAGS = { 'non-bootable': 0x10, 'ram-load': 0x20, 'rom-fixed': 0x100 } as const;

/** it_type. What is left out belongs to encryption, or to whoever built the image. */
export const TLV = {
  keyHash: 0x01,
  publicKey: 0x02,
  sha256: 0x10,
  sha384: 0x11,
  sha512: 0x12,
  rsa2048PssSignature: 0x20,
  ecdsaSignature: 0x22,
  rsa3072PssSignature: 0x23,
  ed25519Signature: 0x24,
  dependency: 0x40,
  securityCounter: 0x50,
  bootRecord: 0x60,
} as const;

/** Types of which one in the unprotected area says that the image is signed: a key or its hash, and 0x20 to 0x25. */
export const isOfSignature = (type: number): boolean =>
  type === TLV.keyHash || type === TLV.publicKey || (type >= 0x20 && type <= 0x2f);
/** IMAGE_TLV_ENC_*. */
export const isOfEncryption = (type: number): boolean => type >= 0x30 && type <= 0x3f;
