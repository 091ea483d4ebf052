import type { DerSpki } from '../../bytes/index.ts';
import { sameBytes, toHex } from '../../bytes/index.ts';
import { algorithmOfSpki, SIGNATURE_OF, type SignatureScheme, sha256, sha384 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readSpki } from '../../x509/spki.ts';
import {
  type FirmwareClaims,
  type FirmwareFormat,
  type FirmwareReading,
  type FormatKey,
  type MadeSignature,
  MOST_SUBJECT_BYTES,
  type SigningTerms,
} from '../format.ts';
import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { described, signerKey, unsuitable } from '../signer-key.ts';
import { FLAGS, HEADER_BYTES, isOfEncryption, isOfSignature, TLV, TLV_INFO_BYTES, TLV_INFO_MAGIC } from './layout.ts';
import { prepareMCUboot } from './prepare.ts';
import { readHeader, readSignedPart, type SignedPart } from './signed-part.ts';
import { readTlvArea, tlvArea, tlvName } from './tlv.ts';
import { formatVersion } from './version.ts';

/** How MCUboot knows a kind of key. */
export interface MCUbootScheme {
  readonly hashTlv: number;
  readonly hash: (bytes: Uint8Array) => Uint8Array;
  readonly signatureTlv: number;
  /** Whether the key signs the digest (PureEdDSA over it) or hashes the signed part itself. */
  readonly signs: 'digest' | 'signed part';
}

const RSA = { hashTlv: TLV.sha256, hash: sha256, signs: 'signed part' } as const;
/**
 * By imgtool: `sign` of ECDSA and RSA takes the payload, `sign_digest` of Ed25519 its digest (imgtool/keys/*.py). RSA is
 * RSASSA-PSS with a salt of 32 octets (bootutil/image_rsa.c); there is no RSA-4096.
 */
const SCHEMES: Readonly<Record<string, MCUbootScheme>> = {
  'P-256': { hashTlv: TLV.sha256, hash: sha256, signatureTlv: TLV.ecdsaSignature, signs: 'signed part' },
  'P-384': { hashTlv: TLV.sha384, hash: sha384, signatureTlv: TLV.ecdsaSignature, signs: 'signed part' },
  Ed25519: { hashTlv: TLV.sha256, hash: sha256, signatureTlv: TLV.ed25519Signature, signs: 'digest' },
  'RSA-2048 by RSASSA-PSS-SHA256': { ...RSA, signatureTlv: TLV.rsa2048PssSignature },
  'RSA-3072 by RSASSA-PSS-SHA256': { ...RSA, signatureTlv: TLV.rsa3072PssSignature },
};
/** By the kind of a public key alone: each kind has one scheme. Undefined for a key by which MCUboot verifies nothing. */
export function schemeOfKey(spki: DerSpki): { scheme: MCUbootScheme; signature: SignatureScheme } | undefined {
  const algorithm = algorithmOfSpki(spki);
  if (algorithm === undefined) return undefined;
  const isRsa = readSpki(spki).rsa !== undefined;
  const scheme = SCHEMES[isRsa ? `${algorithm} by RSASSA-PSS-SHA256` : algorithm];
  if (scheme === undefined) return undefined;
  return { scheme, signature: isRsa ? 'RSASSA-PSS-SHA256' : SIGNATURE_OF[algorithm] };
}

/** What an unsigned image may end in: imgtool without a key writes the digest alone. */
const HASHES: Readonly<Record<number, (bytes: Uint8Array) => Uint8Array>> = {
  [TLV.sha256]: sha256,
  [TLV.sha384]: sha384,
};

/** An image for a microcontroller, as MCUboot verifies it before it runs. */
export const MCUBOOT: FirmwareFormat = {
  name: 'mcuboot',
  title: 'MCUboot image: header, code and TLVs, verified by MCUboot (imgtool verify)',
  places: ['version', 'securityCounter'],
  signedBy: (key) => described(key) in SCHEMES,
  signedTogether: ofOneKind,
  prepare: prepareMCUboot,
  read: readMCUboot,
  claims: (subject) => claimsOf(readSignedPart(bounded(subject))),
  isOfImage,
  compose: (subject, terms) => {
    readSignedPart(bounded(subject));
    const { scheme } = schemeOf(terms);
    return scheme.signs === 'digest' ? scheme.hash(subject) : subject;
  },
  assemble: assembleMCUboot,
};

async function readMCUboot(image: ImageBytes): Promise<FirmwareReading> {
  const subject = await signedPartOf(image);
  const part = readSignedPart(subject);
  return { format: 'mcuboot', ...claimsOf(part), shown: shownOf(part, subject), signatures: 0, subject };
}

/** Its signed part; what follows must be the digest of it and nothing else. */
async function signedPartOf(image: ImageBytes): Promise<Uint8Array> {
  const { signedBytes } = readHeader(buffer(await image.read(0, HEADER_BYTES)));
  if (signedBytes > MOST_SUBJECT_BYTES) throw malformed('image', `${signedBytes} octets, above ${MOST_SUBJECT_BYTES}`);
  // TLV areas count their octets in 16 bits.
  if (image.size < signedBytes + TLV_INFO_BYTES || image.size > signedBytes + 0xffff) {
    throw malformed('image', `${image.size} octets, ${signedBytes} and TLVs by its header`);
  }
  const whole = buffer(await image.read(0, image.size));
  if (whole.length !== image.size) throw malformed('image', `${whole.length} octets of ${image.size}`);
  const subject = whole.subarray(0, signedBytes);
  const tlvs = readTlvArea(whole.subarray(signedBytes), TLV_INFO_MAGIC, 'TLVs');
  const signed = tlvs.find(({ type }) => isOfSignature(type));
  if (signed !== undefined) {
    throw new KeysteadError('firmware.signed-already', { field: 'TLVs', seen: tlvName(signed.type) });
  }
  for (const { type, value } of tlvs) {
    const hash = HASHES[type];
    if (hash === undefined) {
      const why = isOfEncryption(type) ? 'an encrypted image' : 'which nobody signs here';
      throw malformed('TLVs', `${tlvName(type)}, ${why}`);
    }
    if (!sameBytes(hash(subject), value)) throw malformed(tlvName(type), 'a digest of other bytes');
  }
  if (tlvs.length === 0) throw malformed('TLVs', 'no digest of the image');
  if (new Set(tlvs.map(({ type }) => type)).size < tlvs.length) throw malformed('TLVs', 'a digest twice');
  return new Uint8Array(subject);
}

/** Of one signed part there are as many unsigned images as ways to end in its digests. */
function isOfImage(subject: Uint8Array, image: { readonly sha256: string; readonly bytes: number }): boolean {
  const ends = Object.entries(HASHES).map(([type, hash]) => ({ type: Number(type), value: hash(subject) }));
  return [...ends.map((end) => [end]), ends, ends.toReversed()].some((tlvs) => {
    const area = tlvArea(TLV_INFO_MAGIC, tlvs);
    if (subject.length + area.length !== image.bytes) return false;
    return toHex(sha256(Buffer.concat([subject, area]))) === image.sha256;
  });
}

/** The image as it stands, and then digest, key hash and signature of each key, in the order in which they are given. */
async function* assembleMCUboot(
  image: ImageBytes,
  subject: Uint8Array,
  made: readonly MadeSignature[],
): AsyncGenerator<Uint8Array> {
  if (!sameBytes(await signedPartOf(image), subject)) throw malformed('image', 'another than what was signed');
  if (made.length === 0) throw new RangeError('no signature');
  const signers = made.map((one) => ({ ...schemeOf(one), signature: one.signature }));
  const keys = made.map(signerKey);
  if (!ofOneKind(keys)) throw unsuitable(`${keys.map(described).join(' and ')} together; a bootloader knows one kind`);
  const hashes = new Map(signers.map(({ scheme }) => [scheme.hashTlv, scheme.hash(subject)]));
  const tlvs = [
    ...[...hashes].map(([type, value]) => ({ type, value })),
    ...signers.flatMap(({ scheme, spki, signature }) => [
      { type: TLV.keyHash, value: scheme.hash(mcubootKey(spki)) },
      { type: scheme.signatureTlv, value: signature },
    ]),
  ];
  yield* piecesOf(image, 0, subject.length);
  yield tlvArea(TLV_INFO_MAGIC, tlvs);
}

/**
 * A bootloader is built for one kind of key. It refuses TLVs of others (MCUBOOT_USE_TLV_ALLOW_LIST), and the hash of a key
 * that is longer than its own (bootutil/image_validate.c, KEY_BUF_SIZE).
 */
function ofOneKind(keys: readonly FormatKey[]): boolean {
  return new Set(keys.map(described)).size <= 1;
}

function schemeOf(terms: Pick<SigningTerms, 'signer' | 'scheme'>): {
  readonly scheme: MCUbootScheme;
  readonly spki: DerSpki;
} {
  const key = signerKey(terms);
  const scheme = SCHEMES[described(key)];
  if (scheme !== undefined) return { scheme, spki: key.spki };
  throw unsuitable(`${described(key)}; MCUboot takes ${Object.keys(SCHEMES).join(', ')}`);
}

/** A public key as MCUboot has it: SubjectPublicKeyInfo, or of RSA the RSAPublicKey in it (PKCS #1), DER. */
export function mcubootKey(spki: DerSpki): Uint8Array {
  const { rsa, keyBits } = readSpki(spki);
  return rsa === undefined ? spki : keyBits;
}

const claimsOf = ({ version, securityCounter }: SignedPart): FirmwareClaims => ({
  // An image says which part of a device it is for by where it is written, not in itself.
  product: null,
  version: formatVersion(version),
  securityCounter,
});

function shownOf(part: SignedPart, subject: Uint8Array): FirmwareReading['shown'] {
  const flags = Object.entries(FLAGS).filter(([, flag]) => (part.flags & flag) !== 0);
  return [
    { name: 'version', value: formatVersion(part.version) },
    { name: 'security counter', value: part.securityCounter === null ? 'none' : `${part.securityCounter}` },
    { name: 'load address', value: hexOf(part.loadAddress) },
    { name: 'flags', value: flags.map(([name]) => name).join(', ') || 'none' },
    { name: 'header size', value: hexOf(part.headerBytes) },
    { name: 'image size', value: `${part.imageBytes}` },
    ...part.dependencies.map(({ image, atLeast }) => ({
      name: `dependency: image ${image}`,
      value: `at least ${formatVersion(atLeast)}`,
    })),
    ...(part.bootRecord === null ? [] : [{ name: 'boot record', value: shortHex(part.bootRecord) }]),
    ...part.others.map(({ type, value }) => ({ name: tlvName(type), value: shortHex(value) })),
    { name: 'SHA-256 of what is signed', value: toHex(sha256(subject)) },
  ];
}

function bounded(subject: Uint8Array): Uint8Array {
  if (subject.length <= MOST_SUBJECT_BYTES) return subject;
  throw malformed('image', `${subject.length} octets to sign, above ${MOST_SUBJECT_BYTES}`);
}

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
/** What is cut says so, by its length and digest: two that differ never look the same. */
const shortHex = (bytes: Uint8Array): string =>
  bytes.length <= 64
    ? toHex(bytes)
    : `${toHex(bytes.subarray(0, 16))}… ${bytes.length} octets, sha256 ${toHex(sha256(bytes))}`;
const hexOf = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
