import { createHash } from 'node:crypto';
import { type DerSpki, type SpkiSha256, sameBytes, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { readSshSig, spkiSha256, verifySshSigDigest } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  dsseSigners,
  type FirmwareClaims,
  type ImageBytes,
  IN_TOTO_PAYLOAD_TYPE,
  MOST_SUBJECT_BYTES,
  piecesOf,
  raucSignature,
  raucVerity,
  readDsseEnvelope,
  readStatement,
  verifyMCUboot,
} from '@keystead/core/firmware';
import {
  type CmsDigest,
  readCertificate,
  readIssuerAndSerial,
  readSigned,
  type SignedMessage,
  verifySignedDigest,
} from '@keystead/core/x509';
import type { CarriedTrust } from '../trust/index.ts';

/** The rules that refuse firmware, in the order in which they are asked. Their names are stable. */
export const FIRMWARE_RULES = {
  'trust-expired': 'nothing is believed by a trust bundle that has expired',
  product: 'the trust bundle must name the product, and who signs for it',
  malformed: 'the image and its signature must have the form of their format',
  signature: 'a signature must be of this very image, by the key that it names',
  signer: 'a key that the trust bundle names for the product must have signed',
  'counter-missing': 'what is signed must say its security counter where the bundle asks for one',
  counter: 'the security counter must not be less than the least that the bundle takes',
} as const;
export type FirmwareRule = keyof typeof FIRMWARE_RULES;

/** What an update brings. */
export interface FirmwareOffer {
  readonly format: 'cms' | 'rauc' | 'rauc-verity' | 'dsse' | 'sshsig' | 'mcuboot';
  /** For which product of the bundle it is to be installed. */
  readonly product: string;
  readonly image: ImageBytes;
  /** What stands beside the image: CMS (DER), the DSSE envelope, the SSH signature (armoured). RAUC and MCUboot hold theirs. */
  readonly signature?: Uint8Array;
  /** Public keys that came with the update or the device, for formats that name a key by its hash alone (dsse, mcuboot). */
  readonly keys?: readonly DerSpki[];
  /**
   * The counter where the format has no place for one: read by the caller from inside of what is signed, such as the
   * manifest of a RAUC bundle, after this has accepted it without, or from metadata that was verified by itself.
   */
  readonly securityCounter?: number;
}

export type FirmwareVerdict =
  | { readonly ok: true; readonly signer: SpkiSha256; readonly securityCounter: number | null }
  | { readonly ok: false; readonly rule: FirmwareRule; readonly detail: string };

interface Signed {
  readonly signers: readonly SpkiSha256[];
  /** From inside of what is signed. */
  readonly securityCounter: FirmwareClaims['securityCounter'];
}

/** For SSHSIG: a signature of approvals or of commits is none of firmware. */
const NAMESPACE = 'firmware';

/**
 * Judges an update by the trust bundle: who signed it and how old it may be. A key counts because the bundle, which is
 * newer than any certificate, names it for the product; a certificate beside it only brings the key. Reads the image once,
 * but for RAUC's verity, and keeps it not in memory, but for MCUboot. Never throws but what `image.read` throws.
 * REQ-KEY-ROT-03, REQ-KEY-REV-04
 */
export async function verifyFirmware(
  offer: FirmwareOffer,
  trust: CarriedTrust,
  clock: Clock,
): Promise<FirmwareVerdict> {
  if (!(clock.now().getTime() < trust.expires.getTime()))
    return refused('trust-expired', `the trust bundle expired ${trust.expires.toISOString()}`);
  const rule = trust.content.firmware.find(({ product }) => product === offer.product);
  if (rule === undefined) return refused('product', `the trust bundle knows no product ${offer.product}`);
  let signed: Signed;
  try {
    signed = await signedOf(offer);
  } catch (error) {
    // A certificate that cannot be read is of the reader of DER; what reading the image throws is not ours.
    if (!(error instanceof KeysteadError) && !(error instanceof Error && error.name === 'DerError')) throw error;
    const isSignature = error instanceof KeysteadError && error.code === 'cms.signature-invalid';
    return refused(isSignature ? 'signature' : 'malformed', error.message);
  }
  const [first] = signed.signers;
  if (first === undefined) return refused('signature', 'no signature of this image by a key that is here');
  const signer = signed.signers.find((one) => rule.signers.includes(one));
  if (signer === undefined) return refused('signer', `signed by ${first}, which the bundle does not name`);
  const counter = signed.securityCounter ?? offer.securityCounter ?? null;
  const least = rule.minimumSecurityCounter;
  if (counter === null && least > 0) return refused('counter-missing', `the bundle takes ${least} and more`);
  if (counter !== null && counter < least) return refused('counter', `${counter}, the bundle takes ${least} and more`);
  return { ok: true, signer, securityCounter: counter };
}

const refused = (rule: FirmwareRule, detail: string): FirmwareVerdict => ({ ok: false, rule, detail });

async function signedOf({ format, image, signature, keys = [] }: FirmwareOffer): Promise<Signed> {
  switch (format) {
    case 'rauc': {
      const { content, signature: held } = await raucSignature(image);
      return cmsSigned(detached(held), (digest) => digestOf(image, digest, content));
    }
    case 'rauc-verity': {
      // The squashfs has been held to the manifest by its hash tree, and the signature is over the manifest.
      const { subject } = await raucVerity.read(image);
      const { signature: held } = await raucSignature(image);
      return cmsSigned(readSigned(held), async (digest) => createHash(digest).update(subject).digest());
    }
    case 'cms':
      return cmsSigned(detached(beside(signature)), (digest) => digestOf(image, digest));
    case 'sshsig': {
      const sig = readSshSig(Buffer.from(beside(signature)).toString('latin1'));
      const { verdict } = verifySshSigDigest(sig, NAMESPACE, await digestOf(image, sig.hash));
      return { signers: verdict === 'valid' ? [spkiSha256(sig.key.spki)] : [], securityCounter: null };
    }
    case 'dsse':
      return dsseSigned(beside(signature), image, keys);
    case 'mcuboot': {
      if (image.size > MOST_SUBJECT_BYTES) throw malformed('image', `${image.size} bytes`);
      const { claims, signers } = verifyMCUboot(await image.read(0, image.size), keys);
      return { signers: signers.map(spkiSha256), securityCounter: claims.securityCounter };
    }
  }
}

/** A CMS signature with one signer, whose certificate is among those in it, over what `hashed` gives the digest of. */
async function cmsSigned(message: SignedMessage, hashed: (digest: CmsDigest) => Promise<Uint8Array>): Promise<Signed> {
  const { issuer, serial } = readIssuerAndSerial(message.signer);
  const certificate = message.certificates
    .map((one) => readCertificate(one))
    .find((one) => one.serial === serial && sameBytes(one.issuerDer, issuer));
  if (certificate === undefined) throw malformed('signature', 'no certificate of its signer');
  const digest = 'foreign' in message.algorithms ? 'sha256' : message.algorithms.digest;
  const seen = await hashed(digest);
  verifySignedDigest(message, certificate.spki, () => seen);
  return { signers: [spkiSha256(certificate.spki)], securityCounter: null };
}

function detached(der: Uint8Array): SignedMessage {
  const message = readSigned(der);
  if (message.content !== undefined) throw malformed('signature', 'one that holds a content of its own');
  return message;
}

/** The envelope is of the image itself, or of an in-toto statement that names it by its SHA-256. */
async function dsseSigned(bytes: Uint8Array, image: ImageBytes, keys: readonly DerSpki[]): Promise<Signed> {
  const envelope = readDsseEnvelope(bytes);
  const seen = await digestOf(image, 'sha256');
  const isOfImage =
    envelope.payloadType === IN_TOTO_PAYLOAD_TYPE
      ? readStatement(envelope.payload).subject.some(({ digest }) => digest.sha256 === toHex(seen))
      : sameBytes(createHash('sha256').update(envelope.payload).digest(), seen);
  return { signers: isOfImage ? dsseSigners(envelope, keys).map(spkiSha256) : [], securityCounter: null };
}

async function digestOf(image: ImageBytes, algorithm: string, length = image.size): Promise<Uint8Array> {
  const hash = createHash(algorithm);
  for await (const piece of piecesOf(image, 0, length)) hash.update(piece);
  return new Uint8Array(hash.digest());
}

function beside(signature: Uint8Array | undefined): Uint8Array {
  if (signature === undefined) throw malformed('signature', 'none beside the image');
  return signature;
}

const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('firmware.malformed', { field, seen });
