import { fromHex, toHex } from '@keystead/core/bytes';
import { defaultPasswordKdf, fipsMode, passwordKey, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { defineCounter, type NvCounter, readCounter, stepCounter, Tpm } from '@keystead/tpm2';
import { kdfJson, kdfOf, type Tpm2CounterConfig } from './config.ts';
import type { CounterReading, MonotonicCounter } from './counter.ts';

/**
 * Defines a counter in a TPM, whose use keyd's passphrase authorizes.
 * @param passphrase stays with the caller. @throws KeysteadError `tpm2.*`, `kdf.*`.
 */
export async function makeTpm2Counter(
  { tpm: address, index }: Pick<Tpm2CounterConfig, 'tpm' | 'index'>,
  passphrase: SecretBytes,
  ownerAuth?: SecretBytes,
): Promise<Tpm2CounterConfig> {
  const kdf = defaultPasswordKdf(fipsMode());
  using auth = await passwordKey(kdf, passphrase, 32);
  await using tpm = await Tpm.open(address);
  const { storageRoot, value } = await tpm.use((channel) => defineCounter(channel, { index, auth }, { ownerAuth }));
  return { version: 1, make: 'tpm2', tpm: address, index, storageRoot, auth: kdfJson(kdf), base: value };
}

/** An NV counter of a TPM 2.0. The TPM is connected to when it is first asked, and again after it was away. */
export class Tpm2Counter implements MonotonicCounter {
  readonly make = 'tpm2';
  readonly name: string;
  readonly #address: string;
  readonly #counter: NvCounter;
  #tpm: Tpm | undefined;
  #closed = false;

  private constructor(config: Tpm2CounterConfig, auth: SecretBytes) {
    const { tpm, index, storageRoot } = config;
    this.name = `${tpm} NV index 0x${index.toString(16).padStart(8, '0')}`;
    this.#address = tpm;
    this.#counter = { index, auth, storageRoot };
  }

  /** Asks the TPM nothing yet. @param passphrase stays with the caller. @throws KeysteadError `kdf.*`. */
  static async of(config: Tpm2CounterConfig, passphrase: SecretBytes): Promise<Tpm2Counter> {
    return new Tpm2Counter(config, await passwordKey(kdfOf(config.auth), passphrase, 32));
  }

  async read(): Promise<CounterReading> {
    const { value, mark } = await this.#asked((tpm) => tpm.use((channel) => readCounter(channel, this.#counter)));
    return { value, mark: toHex(mark) };
  }

  async raise(from: number, mark: string): Promise<void> {
    const value = await this.#asked((tpm) => tpm.use((channel) => stepCounter(channel, this.#counter, fromHex(mark))));
    if (value === from + 1) return;
    throw new KeysteadError('counter.moved', { field: 'counter', seen: `${value}, where ${from + 1} was expected` });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const tpm = this.#tpm;
    this.#tpm = undefined;
    await tpm?.close();
    this.#counter.auth.wipe();
  }

  async #asked<T>(work: (tpm: Tpm) => Promise<T>): Promise<T> {
    if (this.#closed) throw new KeysteadError('keystore.closed', { field: 'counter', seen: this.name });
    try {
      this.#tpm ??= await Tpm.open(this.#address);
      return await work(this.#tpm);
    } catch (error) {
      // Whatever went wrong, the next attempt begins with a connection of its own.
      if (error instanceof KeysteadError && error.code.startsWith('tpm2.')) {
        const tpm = this.#tpm;
        this.#tpm = undefined;
        await tpm?.close().catch(() => undefined);
      }
      if (error instanceof KeysteadError && error.code === 'tpm2.counter-missing') {
        throw new KeysteadError('counter.missing', { field: 'counter', seen: this.name, cause: error });
      }
      throw error;
    }
  }
}
