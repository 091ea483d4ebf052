import type { DerCertificate } from '../bytes/index.ts';
import type { KeyAlgorithm, SignatureScheme } from '../crypto/index.ts';
import type { FirmwareFormatName } from './format-names.ts';
import type { ImageBytes } from './image.ts';

/**
 * The longest subject, octets: metadata of a repository, a manifest, or the image for a microcontroller, which keyd
 * hashes and reads itself. What is longer is signed by its digest.
 */
export const MOST_SUBJECT_BYTES = 4 * 1024 * 1024;

/** What an image, or the subject of its signature, says of itself; null where the format has no place for it. */
export interface FirmwareClaims {
  readonly product: string | null;
  readonly version: string | null;
  /** Goes up, never down (anti-rollback); a device refuses what has a lower one. */
  readonly securityCounter: number | null;
}

/** An image as people see it before they approve. */
export interface FirmwareReading extends FirmwareClaims {
  readonly format: FirmwareFormatName;
  /** What stands in it, in its order: load address, dependencies, digests. Values are printable and short. */
  readonly shown: readonly { readonly name: string; readonly value: string }[];
  /** How many signatures it has already. */
  readonly signatures: number;
  /**
   * All that a signature of it depends on, at most {@link MOST_SUBJECT_BYTES}: a digest, a manifest, metadata. The
   * order that people approve binds its SHA-256, and keyd composes what is signed from it.
   */
  readonly subject: Uint8Array;
}

/** With what and when a signature is made. */
export interface SigningTerms {
  /** The certificate of the key, under the signing root; formats that know keys alone take its SPKI. */
  readonly signer: DerCertificate;
  /** From the signer's issuer to the signing root; empty where the signing root issued it. */
  readonly chain: readonly DerCertificate[];
  /** What a format that names a time of signing names. */
  readonly time: Date;
  /** What the key signs by; without it, the one signature of its kind (SIGNATURE_OF). */
  readonly scheme?: SignatureScheme;
}

/** A signature as keyd gave it. ECDSA: DER Ecdsa-Sig-Value; the others: the octets. */
export interface MadeSignature extends SigningTerms {
  readonly signature: Uint8Array;
  /** A TimeStampToken (RFC 3161) over `signature`, DER; formats without a place for it pass it over. */
  readonly timestamp?: Uint8Array;
}

/** What a key is, and what it signs by. */
export interface FormatKey {
  readonly algorithm: KeyAlgorithm;
  readonly scheme: SignatureScheme;
}

/**
 * One format of signed firmware. `read` and `assemble` run where images are; `claims` and `compose` run in keyd too,
 * which believes nobody: they parse the subject strictly and bound what they take.
 */
export interface FirmwareFormat {
  readonly name: FirmwareFormatName;
  /** For people: what it is and who verifies it. */
  readonly title: string;
  /** What an image of it has a place for: a claim that is null there is one that the image does not make. */
  readonly places?: readonly (keyof FirmwareClaims)[];
  /** Whether a signature of it has a place for its time stamp (RFC 3161); beside the others it is a file of its own. */
  readonly stamped?: true;
  /**
   * Whether it can be signed by such a key, so that nobody is asked to approve what cannot be signed; absent where any key
   * will do. {@link compose} judges by the certificate.
   */
  readonly signedBy?: (key: FormatKey) => boolean;
  /** Whether one image can have the signatures of all of these; absent where any that sign it can sign it together. */
  readonly signedTogether?: (keys: readonly FormatKey[]) => boolean;
  /**
   * Puts together what is to be signed from raw bytes, where the format has a header that its tools would write.
   * @throws KeysteadError `firmware.*` with the parameter.
   */
  readonly prepare?: (raw: ImageBytes, parameters: Readonly<Record<string, string>>) => Promise<ImageBytes>;
  /** @throws KeysteadError `firmware.malformed` with what is wrong and where, `firmware.signed-already`. */
  read(image: ImageBytes): Promise<FirmwareReading>;
  /**
   * That the image has a place for the signature of each of these keys, where an image has places: what was signed and
   * cannot be put together has taken its version. Absent where any image has room.
   * @throws KeysteadError `firmware.key-unsuitable`, `firmware.malformed`.
   */
  readonly requireRoom?: (image: ImageBytes, keys: readonly FormatKey[]) => Promise<void>;
  /**
   * Whether the subject is that of the image with this SHA-256 (hex) and size: keyd never sees the image, and what people
   * approve by its hash must be what is signed. Absent where the subject does not tell that.
   * @throws KeysteadError `firmware.malformed`.
   */
  readonly isOfImage?: (subject: Uint8Array, image: { readonly sha256: string; readonly bytes: number }) => boolean;
  /** What the subject says of itself, which must agree with the order. @throws KeysteadError `firmware.malformed`. */
  claims(subject: Uint8Array): FirmwareClaims;
  /**
   * The bytes that the key signs (its hash belongs to the signature algorithm).
   * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable` where the format knows no such key.
   */
  compose(subject: Uint8Array, terms: SigningTerms): Uint8Array;
  /** The signed image, or the detached signature, in pieces. */
  assemble(image: ImageBytes, subject: Uint8Array, made: readonly MadeSignature[]): AsyncIterable<Uint8Array>;
}
