import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import type { PasswordKdf } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { DEFAULT_ADDRESS, OWNER_NV } from '@keystead/tpm2';
import { z } from 'zod';
import { durableWrite } from '../../files/durable.ts';

const count = z
  .int()
  .min(1)
  .max(2 ** 31);
const salt = z.base64();
const KdfSchema = z.discriminatedUnion('kdf', [
  z.strictObject({ kdf: z.enum(['pbkdf2-hmac-sha256', 'pbkdf2-hmac-sha512']), salt, iterations: count }),
  z.strictObject({ kdf: z.literal('argon2id'), salt, memory: count, passes: count, parallelism: count }),
]);

/** The value that the counter had when it was made: where a journal that knows of no value begins. */
const base = z.int().min(0);

const Tpm2CounterSchema = z.strictObject({
  version: z.literal(1),
  make: z.literal('tpm2'),
  /** `device:/dev/tpmrm0`, `unix:/path` or `tcp:host:port`. */
  tpm: z.string().min(1).default(DEFAULT_ADDRESS),
  /** NV index: one that an owner may define; the one after it holds the mark. */
  index: z
    .int()
    .min(OWNER_NV.first)
    .max(OWNER_NV.last - 1),
  /** Name of the storage root, hex: which TPM it is. */
  storageRoot: z.string().regex(/^(?:[0-9a-f]{2}){2,66}$/),
  /** How the value that authorizes its use comes out of keyd's passphrase. */
  auth: KdfSchema,
  base,
});

const Pkcs11CounterSchema = z.strictObject({
  version: z.literal(1),
  make: z.literal('pkcs11'),
  /** CKA_LABEL of the data object, on the token of `keystore.json`. */
  label: z.string().regex(/^[A-Za-z0-9._-]{1,32}$/, 'must be 1 to 32 letters, digits, . _ -'),
  base,
});

const CounterSchema = z.discriminatedUnion('make', [Tpm2CounterSchema, Pkcs11CounterSchema]);

/** Which counter keyd's journal is tied to. It holds no secret. */
export type CounterConfig = z.infer<typeof CounterSchema>;
export type Tpm2CounterConfig = z.infer<typeof Tpm2CounterSchema>;

/** Beside `keystore.json`. */
export const counterConfigPath = (dir: string): string => join(dir, 'counter.json');

/** The configuration of a directory of keys; undefined where there is no counter. @throws KeysteadError `config.malformed`. */
export function readCounterConfig(dir: string): CounterConfig | undefined {
  const path = counterConfigPath(dir);
  if (!existsSync(path)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new KeysteadError('config.malformed', { field: path, seen: 'not JSON', cause });
  }
  const parsed = CounterSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new KeysteadError('config.malformed', { field: `${path} ${issue?.path.join('.')}`, seen: issue?.message });
}

/** Writes `counter.json` of a directory, durably. @throws Error of node:fs. */
export function writeCounterConfig(dir: string, config: CounterConfig): void {
  durableWrite(counterConfigPath(dir), `${JSON.stringify(config, null, 2)}\n`, 0o600);
}

export const kdfOf = (auth: Tpm2CounterConfig['auth']): PasswordKdf => ({ ...auth, salt: fromBase64(auth.salt) });

export const kdfJson = (kdf: PasswordKdf): Tpm2CounterConfig['auth'] => ({ ...kdf, salt: toBase64(kdf.salt) });
