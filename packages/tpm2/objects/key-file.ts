import { fromBase64, sameBytes, toBase64 } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { decodePublic, encodePublic, type KeyPublic } from '../wire/public.ts';
import type { ObjectBlob } from './object.ts';

/** One key at rest. Nothing in it is secret to anybody but its TPM. */
export interface TpmKeyFile {
  /** Name of the storage root key that wraps it, hex. */
  readonly storageRoot: string;
  readonly blob: ObjectBlob<KeyPublic>;
}

const FORMAT = 'keystead tpm2 key';

const FileJson = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(1),
  storageRoot: z.string().regex(/^(?:[0-9a-f]{2}){1,66}$/),
  public: z.base64().max(4096),
  wrapped: z.base64().max(4096),
  sha256: z.base64(),
});

/** The file of a key: JSON with one spelling, closed by its SHA-256, which finds accidents. */
export function formatTpmKey({ storageRoot, blob }: TpmKeyFile): Uint8Array {
  const parts = { public: toBase64(encodePublic(blob.area)), wrapped: toBase64(blob.wrapped) };
  const body = { format: FORMAT, version: 1, storageRoot, ...parts };
  const checksum = toBase64(sha256(Buffer.from(JSON.stringify(body))));
  return Buffer.from(`${JSON.stringify({ ...body, sha256: checksum }, null, 2)}\n`);
}

/** @throws KeysteadError `tpm2.file-damaged` for anything but exactly what {@link formatTpmKey} gives. */
export function parseTpmKey(bytes: Uint8Array): TpmKeyFile {
  const damaged = (seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('tpm2.file-damaged', { field: 'TPM key', seen, cause });
  let file: TpmKeyFile;
  try {
    const json = FileJson.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    const area = decodePublic(fromBase64(json.public));
    if (area.type === 'sealed') throw new TypeError('a sealed secret where a key must be');
    file = { storageRoot: json.storageRoot, blob: { area, wrapped: fromBase64(json.wrapped) } };
  } catch (cause) {
    throw damaged('no TPM key of this version', cause);
  }
  if (!sameBytes(formatTpmKey(file), bytes)) throw damaged('a checksum or spelling that does not fit');
  return file;
}
