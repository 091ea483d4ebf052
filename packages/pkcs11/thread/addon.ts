import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
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
  const module = new addon.PKCS11();
  try {
    module.load(path);
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : 'an error';
    throw new KeysteadError('keystore.module-unusable', { field: 'module', seen });
  }
  return module;
}

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
