import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { Pkcs11Schema } from '@keystead/pkcs11';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import { Tpm2Schema } from './tpm2/configuration.ts';

const SealedSchema = z.strictObject({
  version: z.literal(1),
  make: z.literal('sealed'),
  /** The sealed file. */
  path: z.string().min(1).default('keystore.sealed'),
  /** Only FIPS-approved functions; as OpenSSL is set up when not given. */
  fips: z.boolean().optional(),
});

/** One entry for each make of keystore; a new make is a new member here and a new case in `open.ts`. */
const KeystoreSchema = z.discriminatedUnion('make', [SealedSchema, Pkcs11Schema, Tpm2Schema]);

/** Where the keys of one holder live. It holds no secret: passphrase or PIN come beside it. */
export type KeystoreConfig = z.infer<typeof KeystoreSchema>;

/** The configuration in a directory of keys. */
export const keystoreConfigPath = (dir: string): string => join(dir, 'keystore.json');

/** The sealed file in `dir`: what there is when nothing is configured. */
export const sealedConfig = (dir: string): KeystoreConfig => ({
  version: 1,
  make: 'sealed',
  path: join(dir, 'keystore.sealed'),
});

/**
 * The configuration of a directory of keys: its `keystore.json`, or the sealed file when there is none. Paths in it
 * are made absolute, from `dir`.
 * @throws KeysteadError `config.malformed` naming the field.
 */
export function readKeystoreConfig(dir: string): KeystoreConfig {
  const path = keystoreConfigPath(dir);
  return existsSync(path) ? readKeystoreFile(path, dir) : sealedConfig(dir);
}

/**
 * A configuration from a file of any name, as `--keystore FILE` gives it.
 * @param dir what relative paths in it start from.
 * @throws KeysteadError `config.missing`, `config.malformed` naming the field.
 */
export function readKeystoreFile(path: string, dir: string): KeystoreConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw new KeysteadError('config.malformed', { field: path, seen: 'not JSON', cause });
    }
    throw new KeysteadError('config.missing', { field: path, remedy: 'name the file of a keystore', cause });
  }
  const config = parseKeystoreConfig(value, path);
  if (config.make === 'pkcs11') return config;
  const absolute = resolve(dir, config.path);
  if (config.make === 'sealed' || config.sealed === undefined) return { ...config, path: absolute };
  return { ...config, path: absolute, sealed: resolve(dir, config.sealed) };
}

/** @param field what the value is called in an error. @throws KeysteadError `config.malformed` naming the field. */
export function parseKeystoreConfig(value: unknown, field = 'keystore'): KeystoreConfig {
  const parsed = KeystoreSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  throw new KeysteadError('config.malformed', {
    field: where === '' ? field : `${field} ${where}`,
    seen: issue?.message,
  });
}

/** Writes `keystore.json` of a directory, durably. @throws Error of node:fs. */
export function writeKeystoreConfig(dir: string, config: KeystoreConfig): void {
  durableWrite(keystoreConfigPath(dir), `${JSON.stringify(config, null, 2)}\n`, 0o600);
}
