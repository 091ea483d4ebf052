import { fromBase64, sameBytes, toBase64 } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { decodePublic, encodePublic, type KeyPublic, type ObjectBlob } from '@keystead/tpm2';
import { z } from 'zod';

/** A key at rest: only the TPM that made it can load it. */
export interface WrappedKey {
  readonly id: string;
  readonly algorithm: TpmAlgorithm;
  readonly use: 'sign' | 'agree';
  readonly purpose: string;
  readonly createdAt: string;
  readonly blob: ObjectBlob<KeyPublic>;
  /** What the TPM said of the key when it was made. */
  readonly evidence: Readonly<Record<string, string | number | boolean>>;
}

export type TpmAlgorithm = 'P-256' | 'P-384' | 'RSA-3072' | 'RSA-4096';

/** The file of a TPM keystore: JSON, readable, one spelling. Nothing in it is secret to anybody but its TPM. */
export interface TpmKeystoreFile {
  readonly createdAt: string;
  /** Name of the storage root key that wraps the keys, hex. */
  readonly storageRoot: string;
  /** The restricted key that certifies the others. */
  readonly attestationKey: ObjectBlob<KeyPublic>;
  readonly keys: readonly WrappedKey[];
}

const FORMAT = 'keystead tpm2 keystore';
const SIZE_CEILING = 4 * 2 ** 20;

const BlobJson = z.strictObject({ public: z.base64(), wrapped: z.base64() });

const KeyJson = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  algorithm: z.enum(['P-256', 'P-384', 'RSA-3072', 'RSA-4096']),
  use: z.enum(['sign', 'agree']),
  purpose: z.string().max(200),
  createdAt: z.iso.datetime(),
  blob: BlobJson,
  evidence: z.record(z.string().max(64), z.union([z.string().max(8192), z.number(), z.boolean()])),
});

const FileJson = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(1),
  createdAt: z.iso.datetime(),
  storageRoot: z.string().regex(/^[0-9a-f]{4,132}$/),
  attestationKey: BlobJson,
  keys: z.array(KeyJson).max(10_000),
  sha256: z.base64(),
});

/** The bytes of the file. */
export function formatTpmKeystore(file: TpmKeystoreFile): Uint8Array {
  const body = {
    format: FORMAT,
    version: 1,
    createdAt: file.createdAt,
    storageRoot: file.storageRoot,
    attestationKey: blobJson(file.attestationKey),
    // Each field is named, so that its order is the same whoever made the object.
    keys: file.keys.map(({ id, algorithm, use, purpose, createdAt, blob, evidence }) => {
      return { id, algorithm, use, purpose, createdAt, blob: blobJson(blob), evidence };
    }),
  };
  const checksum = toBase64(sha256(Buffer.from(JSON.stringify(body))));
  return Buffer.from(`${JSON.stringify({ ...body, sha256: checksum }, null, 2)}\n`);
}

const blobJson = ({ area, wrapped }: ObjectBlob): z.infer<typeof BlobJson> => ({
  public: toBase64(encodePublic(area)),
  wrapped: toBase64(wrapped),
});

/** @throws KeysteadError `keystore.damaged` for anything but exactly what {@link formatTpmKeystore} gives. */
export function parseTpmKeystore(bytes: Uint8Array): TpmKeystoreFile {
  const damaged = (seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('keystore.damaged', { field: 'keystore file', seen, cause });
  if (bytes.length > SIZE_CEILING) throw damaged(`${bytes.length} bytes`);
  let file: TpmKeystoreFile;
  try {
    const json = FileJson.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    file = {
      createdAt: json.createdAt,
      storageRoot: json.storageRoot,
      attestationKey: blobOf(json.attestationKey),
      keys: json.keys.map((key) => ({ ...key, blob: blobOf(key.blob) })),
    };
  } catch (cause) {
    throw damaged('no TPM keystore of this version', cause);
  }
  if (!sameBytes(formatTpmKeystore(file), bytes)) throw damaged('a checksum or spelling that does not fit');
  return file;
}

function blobOf(json: z.infer<typeof BlobJson>): ObjectBlob<KeyPublic> {
  const area = decodePublic(fromBase64(json.public));
  if (area.type === 'sealed') throw new TypeError('a sealed secret where a key must be');
  return { area, wrapped: fromBase64(json.wrapped) };
}
