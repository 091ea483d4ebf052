import { existsSync, realpathSync, type Stats, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { PKCS11 } from 'pkcs11js';
import type { Refusal } from '../errors.ts';

/** A call of the token that did not return CKR_OK. */
export class CallRefused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(`${refusal.ckr} of ${refusal.call}`);
    this.refusal = refusal;
  }
}

/**
 * The functions of a PKCS#11 module (dlopen, C_GetFunctionList); not initialised yet.
 * @throws KeysteadError `keystore.pkcs11-unavailable`, `keystore.module-missing`, `keystore.module-unusable`.
 */
export function loadModule(path: string): PKCS11 {
  const addon = loadAddon();
  if (!existsSync(path)) throw new KeysteadError('keystore.module-missing', { field: 'module', seen: path });
  requireNotEverybodys(path);
  const module = new addon.PKCS11();
  try {
    module.load(path);
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : 'an error';
    throw new KeysteadError('keystore.module-unusable', { field: 'module', seen });
  }
  return module;
}

/**
 * The module is code that runs here: where anybody may write it, or put another one in its place, everybody has the keys.
 * @throws KeysteadError `keystore.module-unusable`.
 */
function requireNotEverybodys(path: string): void {
  const library = realpathSync(path);
  for (const at of new Set([library, dirname(library), dirname(path)])) {
    const stats = statSync(at);
    if (!isEverybodys(stats)) continue;
    throw new KeysteadError('keystore.module-unusable', {
      field: 'module',
      seen: `${at}, mode ${(stats.mode & 0o7777).toString(8)}: anybody may write it`,
      remedy: 'take the right to write from others (chmod o-w), and install the module anew if they could have used it',
    });
  }
}

/** In a directory with the sticky bit only its owner replaces a file. */
const isEverybodys = (stats: Stats): boolean =>
  (stats.mode & 0o002) !== 0 && !(stats.isDirectory() && (stats.mode & 0o1000) !== 0);

/** Not imported at the top: the addon is optional, and where it is missing that must be one clear sentence. */
function loadAddon(): typeof import('pkcs11js') {
  try {
    return createRequire(import.meta.url)('pkcs11js');
  } catch (cause) {
    const [seen] = (cause instanceof Error ? cause.message : 'an error').split('\n');
    throw new KeysteadError('keystore.pkcs11-unavailable', { field: 'pkcs11js', seen });
  }
}

/** Numbers that the addon has no name for. */
const NAMES: Readonly<Record<number, string>> = { 320: 'CKR_CURVE_NOT_SUPPORTED' };

/** Calls the token. @throws CallRefused when it does not return CKR_OK. */
export function call<T>(name: string, f: () => T): T {
  try {
    return f();
  } catch (error) {
    const ckr = returnedBy(error);
    if (ckr === undefined) throw error;
    throw new CallRefused({ ckr, call: name });
  }
}

/** The addon says `CKR_NAME` and the number, for some calls as properties and for others in the message alone. */
function returnedBy(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const [, name, inMessage] = /^(CKR_[A-Z0-9_]+)(?::(\d+))?/.exec(error.message) ?? [];
  if (name === undefined) return undefined;
  const code = Number(inMessage ?? ('code' in error ? error.code : 0));
  return NAMES[code] ?? (name === 'CKR_VENDOR_DEFINED' ? `${name} 0x${code.toString(16)}` : name);
}
