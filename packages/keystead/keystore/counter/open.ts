import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Keystore } from '../keystore.ts';
import type { CounterConfig } from './config.ts';
import type { MonotonicCounter } from './counter.ts';
import { Tpm2Counter } from './tpm2.ts';

/** A keystore on a module that can keep counters, too. */
interface CountingKeystore extends Keystore {
  /** A counter of this name. It must be there, or `create` makes it with the value 0. */
  counter(label: string): MonotonicCounter & { create(): Promise<void> };
}

export const canCount = (keystore: Keystore): keystore is CountingKeystore => 'counter' in keystore;

/**
 * The counter of a configuration. It is not asked for its value yet, and where it cannot be reached that is told when it
 * is.
 * @param secret keyd's passphrase; it stays with the caller.
 * @throws KeysteadError `config.malformed` where a token is meant and the keys are on none; `kdf.*`.
 */
export async function openCounter(
  config: CounterConfig,
  keystore: Keystore,
  secret: SecretBytes,
): Promise<MonotonicCounter> {
  if (config.make === 'tpm2') return Tpm2Counter.of(config, secret);
  return onToken(keystore).counter(config.label);
}

/** Makes a counter on the token that holds the keys. @throws KeysteadError `counter.exists`, `config.malformed`, `keystore.*`. */
export async function makeTokenCounter(keystore: Keystore, label: string): Promise<CounterConfig> {
  await onToken(keystore).counter(label).create();
  return { version: 1, make: 'pkcs11', label, base: 0 };
}

function onToken(keystore: Keystore): CountingKeystore {
  if (canCount(keystore)) return keystore;
  throw new KeysteadError('config.malformed', {
    field: 'counter.json make',
    seen: 'pkcs11, where keystore.json names no token',
    remedy: 'keep the keys on a token, or take a counter of a TPM',
  });
}
