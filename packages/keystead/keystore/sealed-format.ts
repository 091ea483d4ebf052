import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { type GeneratedKeyAlgorithm, type PasswordKdf, POST_QUANTUM_ALGORITHMS, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';

/**
 * The file of a sealed keystore: JSON, readable, and with one form only. Nothing in it is secret but what lies in
 * `keys[].sealed`. docs/keystore.md describes it.
 */
export interface SealedFile {
  readonly header: SealedHeader;
  readonly keys: readonly SealedKey[];
  /** HMAC-SHA-256 over header and keys under a key from the passphrase: nothing was changed, dropped or moved. */
  readonly mac: Uint8Array;
}

export interface SealedHeader {
  readonly createdAt: string;
  readonly fips140: string;
  readonly kdf: PasswordKdf;
}

export interface SealedKey {
  readonly id: string;
  readonly algorithm: GeneratedKeyAlgorithm | 'HMAC-SHA256';
  readonly purpose: string;
  readonly createdAt: string;
  /** AES-256-GCM over the PKCS#8 key, or over the 32 bytes of a master for HMAC-SHA256; bound to the header and to this key's other fields. */
  readonly sealed: Uint8Array;
}

const FORMAT = 'keystead sealed keystore';
const VERSION = 1;
/** 64 RSA-4096 keys are 200 kB; a file that is much longer is none of ours. */
const SIZE_CEILING = 4 * 2 ** 20;

const KeyId = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);
const Time = z.iso.datetime();
const Binary = z.base64();
const Count = z.number().int().positive();

const KdfJson = z.discriminatedUnion('kdf', [
  z.strictObject({ kdf: z.enum(['pbkdf2-hmac-sha256', 'pbkdf2-hmac-sha512']), salt: Binary, iterations: Count }),
  z.strictObject({ kdf: z.literal('argon2id'), salt: Binary, memory: Count, passes: Count, parallelism: Count }),
]);

const HeaderJson = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  createdAt: Time,
  fips140: z.string().max(200),
  kdf: KdfJson,
});

const KeyJson = z.strictObject({
  id: KeyId,
  algorithm: z.enum(['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096', ...POST_QUANTUM_ALGORITHMS, 'HMAC-SHA256']),
  purpose: z.string().max(200),
  createdAt: Time,
  sealed: Binary,
});

const FileJson = z.strictObject({
  header: HeaderJson,
  keys: z.array(KeyJson).max(10_000),
  mac: Binary,
  sha256: Binary,
});

/** Whether `id` may name a key. */
export function isKeyId(id: string): boolean {
  return KeyId.safeParse(id).success;
}

/** What the mac is made over: header and keys, in their one form. */
export function authenticatedBytes(header: SealedHeader, keys: readonly SealedKey[]): Uint8Array {
  return Buffer.from(JSON.stringify([headerJson(header), keys.map(keyJson)]));
}

/** What the sealing of one key is bound to: the header and the key's own fields in clear. */
export function sealedKeyContext(header: SealedHeader, key: Omit<SealedKey, 'sealed'>): Uint8Array {
  const { id, algorithm, purpose, createdAt } = key;
  return Buffer.from(JSON.stringify([headerJson(header), { id, algorithm, purpose, createdAt }]));
}

/** The bytes of the file. */
export function formatSealedFile(file: SealedFile): Uint8Array {
  const body = { header: headerJson(file.header), keys: file.keys.map(keyJson), mac: toBase64(file.mac) };
  const whole = { ...body, sha256: toBase64(sha256(Buffer.from(JSON.stringify(body)))) };
  return Buffer.from(`${JSON.stringify(whole, null, 2)}\n`);
}

/**
 * Reads the form and the checksum, which finds accidents; only the mac finds intent.
 * @throws KeysteadError `keystore.damaged` for anything but exactly what `formatSealedFile` gives.
 */
export function parseSealedFile(bytes: Uint8Array): SealedFile {
  const { header, keys, mac } = readJson(bytes);
  const { kdf, createdAt, fips140 } = header;
  const file: SealedFile = {
    header: { createdAt, fips140, kdf: { ...kdf, salt: fromBase64(kdf.salt) } },
    keys: keys.map((key) => ({ ...key, sealed: fromBase64(key.sealed) })),
    mac: fromBase64(mac),
  };
  // Content has one spelling only: a changed blank, escape or base64 digit is noticed like a changed value.
  if (Buffer.compare(formatSealedFile(file), bytes) !== 0) throw damaged('a checksum or spelling that does not fit');
  return file;
}

function readJson(bytes: Uint8Array): z.infer<typeof FileJson> {
  if (bytes.length > SIZE_CEILING) throw damaged(`${bytes.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw damaged('no JSON');
  }
  const parsed = FileJson.safeParse(value);
  if (!parsed.success) throw damaged(`another form at ${parsed.error.issues[0]?.path.join('.') || 'the top'}`);
  return parsed.data;
}

// Each field is named, so that its order is the same whoever made the object.
function headerJson({ createdAt, fips140, kdf }: SealedHeader): z.infer<typeof HeaderJson> {
  return { format: FORMAT, version: VERSION, createdAt, fips140, kdf: kdfJson(kdf) };
}

function kdfJson(kdf: PasswordKdf): z.infer<typeof KdfJson> {
  const salt = toBase64(kdf.salt);
  if (kdf.kdf !== 'argon2id') return { kdf: kdf.kdf, salt, iterations: kdf.iterations };
  return { kdf: kdf.kdf, salt, memory: kdf.memory, passes: kdf.passes, parallelism: kdf.parallelism };
}

function keyJson({ id, algorithm, purpose, createdAt, sealed }: SealedKey): z.infer<typeof KeyJson> {
  return { id, algorithm, purpose, createdAt, sealed: toBase64(sealed) };
}

function damaged(seen: string): KeysteadError {
  return new KeysteadError('keystore.damaged', { field: 'keystore file', seen });
}
